"""Judging: judgements kept beside the captures, one file a judge; docs/format/judgement.md.

A line is one judgement with all that was said. Lines are added as they come, each whole before the
next question, and the file is written anew, sorted, when a run ends. A last line that a kill cut
off is made again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Self

from kolm import canonical, digest, paths, schema, system
from kolm.digest import Digest
from kolm.errors import Refused
from kolm.judging import rubric
from kolm.records import kinds

if TYPE_CHECKING:
    from kolm.records.documents import Capture, JudgementRow, JudgementRowJudge

FOLDER: Final = "judgements"  # of a store
MOST_REPLY_CHARACTERS: Final = 2048  # that are kept of a reply: the scores take 60
MOST_QUESTION_BYTES: Final = 48 * 1024  # with the answer, as JSON: a row stays a line of 64 KiB


Answer = Literal["response", "rejected", "sample"]


class Item(NamedTuple):
    """An answer to be judged.

    Attributes:
        capture: the id of the capture whose last question it answers.
        document: the capture.
        answer: ``response``, ``rejected`` or ``sample``.
        text: the answer.
    """

    capture: Digest
    document: Capture
    answer: Answer
    text: str

    def prompt(self, *, reference: bool) -> str:
        """What the judge is asked."""
        return rubric.question(self.document, self.text, reference=reference)


class Question(NamedTuple):
    """What makes two judgements the same: the pictures' capture and every word of the question."""

    capture: Digest
    prompt: str


def fits(item: Item, *, reference: bool) -> bool:
    """Whether a judgement of the answer fits into a row."""
    prompt = item.prompt(reference=reference)
    asked = len(canonical.dumps(rubric.as_capture(item.document, prompt)))
    kept = len(canonical.dumps([prompt, item.text]))
    return kept <= MOST_QUESTION_BYTES and asked <= canonical.MAX_LINE_BYTES


class Judgements:
    """The judgements of one judge in a folder; a context manager.

    Args:
        store: the folder of the store; the file lies in `FOLDER` there.
        judge: who judges, and how.
        reference: whether it sees the captures' own answers.
        max_new_tokens: of its replies.
    """

    def __init__(
        self, store: Path, judge: JudgementRowJudge, *, reference: bool, max_new_tokens: int
    ) -> None:
        self.judge = judge
        self.reference = reference
        facts = [judge, rubric.NAME, reference, max_new_tokens]
        self.name = digest.hex_of(digest.of_value(facts))[:16]
        self.path = store / FOLDER / f"{self.name}.jsonl"
        self._added = self.path.with_suffix(".part")
        self._known: dict[Question, JudgementRow] = {}
        self._holding = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with system.naming(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        self._holding.enter_context(paths.locked(self.path.with_suffix(".lock")))
        _cut(self._added)
        for path in (self.path, self._added):
            if path.is_file():
                for row in _rows(path):
                    self._known[Question(row["capture"], row["prompt"])] = row
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._holding:
            if error is None:
                self._write()

    def of(self, item: Item) -> JudgementRow | None:
        """The judgement of an answer, if there is one."""
        return self._known.get(Question(item.capture, item.prompt(reference=self.reference)))

    def add(self, item: Item, reply: str, *, finish: str, said_by: str) -> None:
        """Keep a judgement at once."""
        kept = reply[:MOST_REPLY_CHARACTERS]
        row: JudgementRow = {
            "answer": item.answer,
            "capture": item.capture,
            "finish": finish[:64],
            "judge": self.judge,
            "prompt": item.prompt(reference=self.reference),
            "reference": self.reference,
            "reply": kept,
            "rubric": rubric.NAME,
            "said_by": said_by[:256],
            "scores": rubric.read(kept),
            "text": item.text,
        }
        self._known[Question(item.capture, row["prompt"])] = row
        with system.naming(self._added), self._added.open("ab") as stream:
            stream.write(canonical.dumps(row) + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def _write(self) -> None:
        """Write the file anew from all rows, sorted."""
        if self._added.is_file():
            order = sorted(self._known, key=lambda question: (question.capture, question.prompt))
            data = canonical.dump_lines(self._known[question] for question in order)
            with system.naming(self.path):
                paths.atomic_write(self.path, data)
                self._added.unlink()


def _cut(path: Path) -> None:
    """Take a last line away that a kill cut off."""
    with system.naming(path):
        if path.is_file():
            os.truncate(path, path.read_bytes().rfind(b"\n") + 1)


def _rows(path: Path) -> Iterable[JudgementRow]:
    """The rows of a file, each with the scores that its reply says, whatever the row says."""
    with system.naming(path):
        data = path.read_bytes()
    for number, _, row in canonical.read_lines(data, where=path.name):
        checked = schema.check(kinds.JUDGEMENT_ROW, row, where=f"{path.name}:{number}")
        yield {**checked, "scores": rubric.read(checked["reply"])}


def read_labels(path: Path, find: Mapping[str, Digest]) -> dict[tuple[Digest, str], dict[str, int]]:
    """What people say of answers: JSON Lines of ``capture``, ``answer`` and scores.

    Args:
        path: of the file.
        find: the id of each capture by what it may be called.

    Returns:
        The scores by criterion, by capture and answer (``response`` or ``rejected``).

    Raises:
        Refused: ``E_JUDGE_LABELS``: a line is something else.
        KolmError: what the operating system says.
    """
    with system.naming(path):
        data = path.read_bytes()
    labels: dict[tuple[Digest, str], dict[str, int]] = {}
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path.name}:{number}"
        value = canonical.loads(line, where=where)
        if not isinstance(value, dict):
            raise _label("the line is not a JSON object", where)
        name, answer = value.pop("capture", None), value.pop("answer", "response")
        if not isinstance(name, str) or name not in find:
            raise _label("the store holds no capture of this name or id", where, str(name)[:80])
        if answer not in ("response", "rejected"):
            raise _label("an answer is called response or rejected", where, str(answer)[:80])
        if not value or not set(value) <= set(rubric.CRITERIA):
            raise _label(f"scores are {', '.join(rubric.CRITERIA)}", where, ", ".join(value)[:80])
        for score in value.values():
            if type(score) is not int or not rubric.LEAST <= score <= rubric.MOST:
                raise _label("a score is a whole number from 1 to 5", where, repr(score)[:80])
        if labels.setdefault((find[name], answer), value) is not value:
            raise _label("the answer has a label already", where, name)
    return labels


def _label(problem: str, where: str, found: str = "") -> Refused:
    return Refused(
        "E_JUDGE_LABELS",
        problem,
        where=where,
        expected='such as {"capture": "pairs.jsonl:7", "answer": "response", "accuracy": 4}',
        found=found,
    )
