"""Capture: VQA v2: a file of questions, a file of annotations and a folder of pictures.

Y. Goyal et al., "Making the V in VQA Matter" (2017). Questions and annotations meet by
``question_id``; the answer is ``multiple_choice_answer``, which most of ten people gave. What was
asked (``answer_type``) becomes a tag, by which scores are sliced.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kolm.capture import fields, limits, reading
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
_STATED = re.compile(rb'"data_subtype"\s*:\s*"([\w-]{1,40})"')


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
        stated = _STATED.search(stream.read(limits.MAX_IMPORT_BYTES))
    if stated is None:
        raise Usage(
            "E_IMPORT_OPTION",
            "the questions state no data_subtype, so the names of the pictures are unknown",
            where=reading.name_of(path),
            hint="--image-pattern COCO_val2014_%012d.jpg",
        )
    return stated.group(1).decode()


def _answers(path: Path) -> Iterator[tuple[int, tuple[str, str]]]:
    for where, value in reading.members(path, "annotations"):
        if isinstance(value, BadRow):
            raise value.error()
        number = value.get("question_id")
        if type(number) is not int:
            raise fields.wrong("question_id", "a whole number", number, where)
        answer = fields.text(value, "multiple_choice_answer", where=where)
        # The same few answers again and again: one text in memory for each.
        yield number, (sys.intern(answer), sys.intern(str(value.get("answer_type", ""))))


def _questions(
    path: Path, pattern: str, answers: dict[int, tuple[str, str]]
) -> Iterator[reading.Located]:
    for where, value in reading.members(path, "questions"):
        yield where, value if isinstance(value, BadRow) else _row(value, pattern, answers, where)


def _row(
    question: dict[str, Any], pattern: str, answers: dict[int, tuple[str, str]], where: str
) -> dict[str, Any] | BadRow:
    number, image = question.get("question_id"), question.get("image_id")
    if type(image) is not int:
        return BadRow.of(fields.wrong("image_id", "a whole number", image, where), where)
    if not isinstance(number, int) or number not in answers:
        reason = f"the annotations have no question_id {number!r}"
        return BadRow(where=where, code="E_ROW_MISSING_KEY", reason=reason)
    answer, kind = answers[number]
    return {
        "image": pattern % image,
        "prompt": question.get("question"),
        "response": answer,
        "tags": [kind] if kind else [],
    }
