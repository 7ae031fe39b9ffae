"""Capture: what is wrong with a set of captures that are each fine by themselves.

Run when a snapshot is taken, and again by whoever compiles captures from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kolm.capture import documents, file_limits, rules
from kolm.capture.store import StoredCapture
from kolm.counting import counted, listed
from kolm.digest import Digest
from kolm.errors import Refused
from kolm.format import sameness
from kolm.records.capture import TextPart


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that stops a compile.

    Attributes:
        code: a stable error code.
        message: what is wrong, with the answers or template in question.
        captures: the ids of the rows it is about, sorted.
    """

    code: str
    message: str
    captures: tuple[Digest, ...]


def problems(rows: Iterable[StoredCapture]) -> list[Problem]:
    """Contradictory answers, empty responses and unfilled templates among `rows`.

    Two captures contradict each other when they show the same pictures (by pixels), say the same
    up to the last turn, and answer differently. What a person would not see makes no difference.
    """
    held = list(rows)
    found: list[Problem] = []
    for row in held:
        for message in row.capture.messages:
            if message.role == "assistant":
                _check_answer(row, _text(message.content), found)
    for answers in _by_question(held).values():
        if len(answers) > 1:
            found.append(_contradiction(answers))
    return sorted(found, key=lambda problem: (problem.code, problem.captures))


def demand_clean(rows: Iterable[StoredCapture]) -> None:
    """Refuse rows that have `problems`, naming them.

    Raises:
        Refused: with the code of the first problem.
    """
    found = problems(rows)
    if not found:
        return
    lines = [f"{problem.message}: {', '.join(problem.captures)}" for problem in found]
    raise Refused(
        found[0].code,
        f"the captures have {len(found)} problem{'s' if len(found) > 1 else ''}; "
        f"the first: {found[0].message}",
        where=f"capture {found[0].captures[0]}",
        found=listed(lines, file_limits.MAX_NAMED_PROBLEMS),
        hint="keep one answer to a question about a picture: kolm capture remove CAPTURE",
    )


def demand_distinct(rows: Iterable[StoredCapture]) -> None:
    """Refuse cases that would be scored twice: they differ in source, tags or licence only.

    Raises:
        Refused: ``E_CAPTURE_REPEATED``, naming them.
    """
    repeated = [
        (same[0].id, again.id)
        for answers in _by_question(rows).values()
        for same in answers.values()
        for again in same[1:]
    ]
    if not repeated:
        return
    lines = [f"{left} and {right}" for left, right in repeated]
    raise Refused(
        "E_CAPTURE_REPEATED",
        f"{counted(len(repeated), 'capture')} would be scored twice: another has the same "
        "pictures, prompt and answer",
        where=f"capture {repeated[0][1]}",
        expected="each case once: repeated ones make the score look surer than it is",
        found=listed(lines, file_limits.MAX_NAMED_PROBLEMS),
        hint="leave the repeated ones out: kolm capture remove CAPTURE",
    )


def _check_answer(row: StoredCapture, text: str, found: list[Problem]) -> None:
    try:
        rules.check_answer(text, where=row.id)
    except Refused as error:
        detail = f"{error.message} {error.found!r}" if error.found else error.message
        found.append(Problem(code=error.code, message=detail, captures=(row.id,)))


def _text(content: Iterable[object]) -> str:
    return "".join(part.text for part in content if isinstance(part, TextPart))


def _by_question(
    rows: Iterable[StoredCapture],
) -> dict[sameness.Asked, dict[str, list[StoredCapture]]]:
    """Rows that ask the same, by what they answer; all in the order given.

    Two answers to one question contradict each other, and one answer twice is a repeat (S13).
    """
    asked: dict[sameness.Asked, dict[str, list[StoredCapture]]] = {}
    for row in rows:
        document = documents.to_document(row.capture)
        answers = asked.setdefault(sameness.question(document), {})
        answers.setdefault(sameness.answer(document), []).append(row)
    return asked


def _contradiction(answers: dict[str, list[StoredCapture]]) -> Problem:
    firsts = [same[0].capture for same in answers.values()]
    prompt = sameness.plain(_text(firsts[0].messages[-2].content))[:60]
    given = sorted(_text(capture.messages[-1].content)[:60] for capture in firsts)
    return Problem(
        code="E_CAPTURE_CONTRADICTION",
        message=f"the same pictures and the prompt {prompt!r} have the answers "
        + ", ".join(map(repr, given)),
        captures=tuple(sorted(row.id for same in answers.values() for row in same)),
    )
