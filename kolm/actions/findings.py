"""The compositions: what a look at a compile found, and how many findings are told in few words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from kolm.counting import listed
from kolm.errors import KolmError

if TYPE_CHECKING:
    from kolm.records.answers import CheckFinding


class Found(NamedTuple):
    """What one precheck has to say.

    Attributes:
        name: what was looked at.
        verdict: warnings stop nothing.
        message: one sentence.
        error: of a failure.
        found: what a warning is about, one a line.
    """

    name: str
    verdict: Literal["ok", "warning", "failed"]
    message: str
    error: KolmError | None = None
    found: str = ""

    def to_document(self) -> CheckFinding:
        """The finding as a flat document, without empty fields."""
        told = {"found": self.found} if self.found else {}
        document = {"name": self.name, "verdict": self.verdict, "message": self.message, **told}
        if self.error is not None:
            document |= {"family": type(self.error).__name__, **self.error.to_document()}
        return cast("CheckFinding", document)


def ok(name: str, message: str) -> Found:
    """A finding that is as it should be."""
    return Found(name, "ok", message)


def warning(name: str, message: str, about: Sequence[str] = ()) -> Found:
    """A finding that stops nothing, with the names of what it is about."""
    return Found(name, "warning", message, found=listed(about))


def failed(name: str, error: KolmError) -> Found:
    """A finding that stops a compile."""
    return Found(name, "failed", error.message, error)


def grouped(name: str, what: str, problems: Sequence[tuple[str, KolmError]]) -> Iterator[Found]:
    """One failure for each code among many, with the names of all that it is about."""
    by_code: dict[str, list[tuple[str, KolmError]]] = defaultdict(list)
    for problem in problems:
        by_code[problem[1].code].append(problem)
    for code, members in by_code.items():
        (of, first), many = members[0], len(members) > 1
        lines = [f"{who}: {error.found}" if error.found else who for who, error in members]
        yield failed(
            name,
            type(first)(
                code,
                f"{first.message} ({len(members):,} {what}s)" if many else first.message,
                where=name if many else of,
                expected=first.expected,
                found=listed(lines) if many else first.found,
                hint=first.hint,
            ),
        )


def count(names: Sequence[str], what: str) -> str:
    """How many there are, as the beginning of a sentence."""
    return f"1 {what} is" if len(names) == 1 else f"{len(names):,} {what}s are"


def each_error_once(found: Iterable[Found]) -> list[Found]:
    """The findings without an error that an earlier one has told already."""
    told: set[tuple[str, str, str]] = set()
    kept = []
    for finding in found:
        error = finding.error
        if error is not None:
            key = (error.code, error.where, error.found)
            if key in told:
                continue
            told.add(key)
        kept.append(finding)
    return kept
