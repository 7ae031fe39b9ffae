"""Judging: the question that a judge is asked, and the one way in which its reply is read.

A reply that does not hold exactly one object with the three scores is not read, and never guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from kolm import canonical
from kolm.errors import Refused

if TYPE_CHECKING:
    from kolm.records.documents import Capture, JudgementRowScores

NAME: Final = "kolm-judge-1"  # of the question below; another text gets another name
CRITERIA: Final = ("accuracy", "completeness", "relevance")
LEAST, MOST = 1, 5
_OBJECT = re.compile(r"\{[^{}]*\}")
_ASKED = {"accuracy": "what it says of {0} is true", "completeness": "it answers all that is asked",
          "relevance": "it keeps to what is asked"}  # fmt: skip


def question(capture: Capture, answer: str, *, reference: bool) -> str:
    """What a judge is asked about an answer to the last question of a capture.

    The texts of the capture stand as JSON strings, so that none can pass for a part of the
    question; what they talk a judge into is another matter.

    Args:
        capture: its pictures are shown with the question.
        answer: to be judged.
        reference: whether the judge sees the capture's own answer.
    """
    *before, asked, given = capture["messages"]
    pictures = len(capture["images"])
    about = ("the pictures" if pictures > 1 else "the picture") if pictures else "the matter"
    lines = [f"Judge one answer to a question about {about}."]
    if before:
        turns = [{"role": turn["role"], "text": _text(turn["content"])} for turn in before]
        lines.append(f"Before the question: {_written(turns)}")
    lines.append(f"Question: {_written(_text(asked['content']))}")
    if reference:
        lines.append(f"A right answer: {_written(_text(given['content']))}")
    lines.append(f"Answer to judge: {_written(answer)}")
    lines.append(f"Give three whole numbers from {LEAST} (not at all) to {MOST} (wholly):")
    lines += [f"- {name}: {_ASKED[name].format(about)}" for name in CRITERIA]
    named = ", ".join(f'"{name}": N' for name in CRITERIA)
    lines.append(f"Reply with one line and nothing else: {{{named}}}")
    return "\n".join(lines)


def read(reply: str) -> JudgementRowScores | None:
    """The scores of a reply; None where they cannot be read."""
    found = _OBJECT.findall(reply)
    if len(found) != 1:
        return None
    try:
        value = canonical.loads(found[0].encode("utf-8", "replace"), where="reply")
    except Refused:
        return None
    if not isinstance(value, dict) or set(value) != set(CRITERIA):
        return None
    if not all(type(score) is int and LEAST <= score <= MOST for score in value.values()):
        return None
    return {
        "accuracy": value["accuracy"],
        "completeness": value["completeness"],
        "relevance": value["relevance"],
    }


def by_criterion(scores: JudgementRowScores) -> dict[str, int]:
    """The three scores by their names."""
    return {
        "accuracy": scores["accuracy"],
        "completeness": scores["completeness"],
        "relevance": scores["relevance"],
    }


def total(scores: JudgementRowScores) -> int:
    """The sum of the three scores, by which answers are ranked."""
    return sum(by_criterion(scores).values())


def lowest(scores: JudgementRowScores) -> int:
    """The lowest of the three scores, which a floor is held against."""
    return min(by_criterion(scores).values())


def as_capture(capture: Capture, text: str) -> Capture:
    """A question of a judge as an unanswered capture, for a model that answers captures."""
    parts: list[object] = [{"type": "image", "image": n} for n in range(len(capture["images"]))]
    parts.append({"type": "text", "text": text})
    asked: Capture = {
        "images": capture["images"],
        "license": "",
        "messages": [
            {"role": "user", "content": parts},  # type: ignore[typeddict-item]
            {"role": "assistant", "content": [{"type": "text", "text": "-"}]},
        ],
        "source": {"kind": "judge", "name": NAME},
        "split": None,
        "tags": [],
    }
    return asked


def _text(content: Sequence[Mapping[str, object]]) -> str:
    return "".join(str(part["text"]) if part["type"] == "text" else " " for part in content).strip()


def _written(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
