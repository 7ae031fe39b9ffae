"""Capture: what is wrong with a set of captures that are each fine by themselves.

Run when a snapshot is taken, and again by whoever compiles captures from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kolm.capture import documents, limits, rules
from kolm.capture.store import Stored
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


def problems(rows: Iterable[Stored]) -> list[Problem]:
    """Contradictory answers, empty responses and unfilled templates among `rows`.

    Two captures contradict each other when they show the same pictures (by pixels), say the same
    up to the last turn, and answer differently. What a person would not see makes no difference.
    """
    found: list[Problem] = []
    answers: dict[tuple[str, ...], dict[str, list[tuple[Digest, str]]]] = {}
    prompts: dict[tuple[str, ...], str] = {}
    for row in rows:
        for message in row.capture.messages:
            if message.role == "assistant":
                _check_answer(row, _text(message.content), found)
        answer = _text(row.capture.messages[-1].content)
        question = sameness.question(documents.to_document(row.capture))
        prompts.setdefault(question, _text(row.capture.messages[-2].content))
        same = answers.setdefault(question, {})
        same.setdefault(sameness.plain(answer), []).append((row.id, answer))
    for question, variants in answers.items():
        if len(variants) > 1:
            found.append(_contradiction(prompts[question], variants))
    return sorted(found, key=lambda problem: (problem.code, problem.captures))


def demand_clean(rows: Iterable[Stored]) -> None:
    """Refuse rows that have `problems`, naming them.

    Raises:
        Refused: with the code of the first problem.
    """
    found = problems(rows)
    if not found:
        return
    shown = [
        f"{problem.message}: {', '.join(problem.captures)}"
        for problem in found[: limits.MAX_NAMED_PROBLEMS]
    ]
    rest = len(found) - len(shown)
    raise Refused(
        found[0].code,
        f"the captures have {len(found)} problem{'s' if len(found) > 1 else ''}; "
        f"the first: {found[0].message}",
        where=f"capture {found[0].captures[0]}",
        found="\n".join([*shown, *([f"and {rest} more"] if rest else [])]),
        hint="keep one answer to a question about a picture: kolm capture remove CAPTURE",
    )


def demand_distinct(rows: Iterable[Stored]) -> None:
    """Refuse cases that would be scored twice: they differ in source, tags or licence only.

    Raises:
        Refused: ``E_CAPTURE_REPEATED``, naming them.
    """
    first: dict[tuple[tuple[str, ...], str], Digest] = {}
    repeated: list[tuple[Digest, Digest]] = []
    for row in rows:
        document = documents.to_document(row.capture)
        said = (sameness.question(document), sameness.answer(document))
        known = first.setdefault(said, row.id)
        if known != row.id:
            repeated.append((known, row.id))
    if not repeated:
        return
    shown = [f"{left} and {right}" for left, right in repeated[: limits.MAX_NAMED_PROBLEMS]]
    rest = len(repeated) - len(shown)
    raise Refused(
        "E_CAPTURE_REPEATED",
        f"{len(repeated)} captures to score repeat the pictures, prompt and answer of another",
        where=f"capture {repeated[0][1]}",
        expected="each case once: repeated ones make the score look surer than it is",
        found="\n".join([*shown, *([f"and {rest} more"] if rest else [])]),
        hint="leave the repeated ones out: kolm capture remove CAPTURE",
    )


def _check_answer(row: Stored, text: str, found: list[Problem]) -> None:
    try:
        rules.check_answer(text, where=row.id)
    except Refused as error:
        detail = f"{error.message} {error.found!r}" if error.found else error.message
        found.append(Problem(code=error.code, message=detail, captures=(row.id,)))


def _text(content: Iterable[object]) -> str:
    return "".join(part.text for part in content if isinstance(part, TextPart))


def _contradiction(prompt: str, variants: dict[str, list[tuple[Digest, str]]]) -> Problem:
    given = sorted({rows[0][1][:60] for rows in variants.values()})
    return Problem(
        code="E_CAPTURE_CONTRADICTION",
        message=f"the same pictures and the prompt {sameness.plain(prompt)[:60]!r} have the "
        "answers " + ", ".join(map(repr, given)),
        captures=tuple(sorted(row_id for rows in variants.values() for row_id, _ in rows)),
    )
