"""Capture: VQA v2: a file of questions, a file of annotations and a folder of pictures.

Y. Goyal et al., "Making the V in VQA Matter" (2017). Questions and annotations meet by
``question_id``; the answer is ``multiple_choice_answer``, which most of ten people gave. What the
others said (``answers``) are further references. What was asked (``answer_type``) becomes a tag, by
which scores are sliced.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from kolm.capture import fields, reading
from kolm.capture.drafts import BadRow, Defaults, Draft
from kolm.capture.importers.drafting import drafts
from kolm.capture.importers.option import Option
from kolm.capture.sources import Folder
from kolm.errors import Usage

OPTIONS = (
    Option("annotations", "the file with the answers", "FILE", required=True),
    Option(
        "image_pattern",
        "names of pictures by image_id; default: COCO_val2014_%012d.jpg, with the questions' "
        "data_subtype",
        "PATTERN",
    ),
)
_PATTERN = "COCO_{}_%012d.jpg"
_ONE_NUMBER = re.compile(r"(?:[^%]|%%)*%0?[0-9]{0,2}d(?:[^%]|%%)*", re.DOTALL)
_STATED = re.compile(rb'"data_subtype"\s{0,9}:\s{0,9}"([\w-]{1,40})"')
_STATED_BYTES = 80  # at the most


def rows(
    path: Path,
    folder: Folder,
    defaults: Defaults,
    *,
    annotations: str,
    image_pattern: str | None = None,
) -> Iterator[Draft | BadRow]:
    """The rows of the questions, each with its answer; one without an answer is a bad row.

    Raises:
        Refused: a file holds something else.
        Usage: the questions state no subset and no pattern is given, or it is none.
    """
    pattern = image_pattern or _PATTERN.format(_subset(path))
    if not _ONE_NUMBER.fullmatch(pattern):
        raise Usage(
            "E_IMPORT_OPTION",
            "the pattern of image names must have exactly one place for a number",
            expected="such as COCO_val2014_%012d.jpg",
            found=pattern,
        )
    answers = dict(_answers(Path(annotations)))
    return drafts(_questions(path, pattern, answers), folder, defaults)


def _subset(path: Path) -> str:
    with reading.opened(path) as stream:
        stated = reading.search(stream, _STATED, longest=_STATED_BYTES)
    if stated is None:
        raise Usage(
            "E_IMPORT_OPTION",
            "the questions state no data_subtype, so the names of the pictures are unknown",
            where=reading.name_of(path),
            hint="--image-pattern COCO_val2014_%012d.jpg",
        )
    return stated.group(1).decode()


class _Answer(NamedTuple):
    """What people said to one question."""

    text: str
    kind: str
    others: tuple[str, ...]


def _answers(path: Path) -> Iterator[tuple[int, _Answer]]:
    for where, value in reading.members(path, "annotations"):
        if isinstance(value, BadRow):
            raise value.error()
        number = value.get("question_id")
        if type(number) is not int:
            raise fields.wrong("question_id", "a whole number", number, where)
        answer = fields.text(value, "multiple_choice_answer", where=where)
        # The same few answers again and again: one text in memory for each.
        kind = sys.intern(str(value.get("answer_type", "")))
        yield number, _Answer(sys.intern(answer), kind, _others(value, answer, where))


def _others(value: dict[str, Any], answer: str, where: str) -> tuple[str, ...]:
    """What all people said, but for one who gave the answer itself; none where it is not told."""
    told = value.get("answers")
    if told is None:
        return ()
    if not isinstance(told, list) or not all(isinstance(item, dict) for item in told):
        raise fields.wrong("answers", 'a list of {"answer": …}', told, where)
    said = [sys.intern(fields.text(item, "answer", where=where)) for item in told]
    said = [text for text in said if text.strip()]
    if answer in said:
        said.remove(answer)
    return tuple(said)


def _questions(path: Path, pattern: str, answers: dict[int, _Answer]) -> Iterator[reading.Located]:
    for where, value in reading.members(path, "questions"):
        yield where, value if isinstance(value, BadRow) else _row(value, pattern, answers, where)


def _row(
    question: dict[str, Any], pattern: str, answers: dict[int, _Answer], where: str
) -> dict[str, Any] | BadRow:
    number, image = question.get("question_id"), question.get("image_id")
    if type(image) is not int:
        return BadRow.of(fields.wrong("image_id", "a whole number", image, where), where)
    if not isinstance(number, int) or number not in answers:
        reason = f"the annotations have no question_id {number!r}"
        return BadRow(where=where, code="E_ROW_MISSING_KEY", reason=reason)
    answer = answers[number]
    return {
        "image": pattern % image,
        "prompt": question.get("question"),
        "response": answer.text,
        "references": list(answer.others),
        "tags": [answer.kind] if answer.kind else [],
    }
