"""The four things that a check can say.

Checks yield these; the verifier adds them up. A check that has looked and found nothing wrong
yields one `passed`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from kolm.errors import KolmError, Refused, Usage
from kolm.records.verification import Finding, Verdict

NOTHING = "the policy demands nothing here"
READ_FINDINGS = 10_000  # of one check; a hostile file could cause millions
LONGEST_TEXT, LONGEST_ANSWER = 200, 400  # hostile documents must not fill the report


def passed(detail: str, *, by: Iterable[str] | None = None) -> Finding:
    """Looked here, and it holds; `by` names those on whose word it rests, None is recomputed."""
    names = None if by is None else tuple(sorted(set(by)))
    return Finding(verdict=Verdict.OK, detail=shorten(detail, LONGEST_ANSWER), by=names)


def failed(
    detail: str,
    *,
    rule: str = "",
    where: str = "",
    expected: object = "",
    found: object = "",
    code: str = "",
) -> Finding:
    """Looked here, and it does not hold: of several rules, the one of docs/format, as ``N4``."""
    return Finding(
        verdict=Verdict.FAILED,
        detail=shorten(detail),
        where=shorten(where) or None,
        expected=shorten(expected) or None,
        found=shorten(found) or None,
        code=code or None,
        rule=rule or None,
    )


def unless_equal(
    expected: object, found: object, detail: str, *, rule: str = "", where: str = ""
) -> Iterator[Finding]:
    """Looked here: nothing to tell if what is stated is what it should be, else `failed`.

    Of two documents with the same keys, each value that differs is told with its place.
    """
    if (
        isinstance(expected, Mapping)
        and isinstance(found, Mapping)
        and expected.keys() == found.keys()
    ):
        for key in sorted(expected):
            inside = f"{where}/{key}"
            yield from unless_equal(expected[key], found[key], detail, rule=rule, where=inside)
    elif expected != found:
        yield failed(detail, rule=rule, where=where, expected=expected, found=found)


def could_not_look(detail: str, *, where: str = "", code: str = "") -> Finding:
    """Something needed to answer is missing on this side; this says nothing about the bundle."""
    return Finding(
        verdict=Verdict.COULD_NOT_LOOK,
        detail=shorten(detail),
        where=shorten(where) or None,
        code=code or None,
    )


def not_checked(detail: str, *, where: str = "") -> Finding:
    """Nobody asked, or an earlier check has failed that this one builds on."""
    return Finding(
        verdict=Verdict.NOT_CHECKED, detail=shorten(detail), where=shorten(where) or None
    )


def from_error(error: KolmError) -> Finding:
    """A typed error as a finding: `Refused` and `Usage` say that a document makes no sense.

    Every other family says that something is missing on this side.
    """
    if not isinstance(error, (Refused, Usage)):
        told = f"{error.message}; {error.hint}" if error.hint else error.message
        return could_not_look(told, where=error.where, code=error.code)
    return failed(
        error.message,
        where=error.where,
        expected=error.expected,
        found=error.found,
        code=error.code,
    )


def shorten(value: object, longest: int = LONGEST_TEXT) -> str:
    """Text from a bundle, made fit to print: one line, no control characters, bounded."""
    text = json.dumps(value, default=str) if isinstance(value, (Mapping, list)) else str(value)
    if not text.isprintable():
        text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= longest else text[: longest - 1] + "…"
