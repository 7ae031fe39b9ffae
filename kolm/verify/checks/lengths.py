"""V55: do captures that the auditor draws encode to the lengths that order the training?

The encoding happens in a child process that `actions` starts; this only chooses and compares.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kolm.errors import KolmError
from kolm.format.names import EXAMPLES
from kolm.records.sides import LEARNED
from kolm.records.verification import Finding, Verdict
from kolm.verify.check import Answers
from kolm.verify.checks.rescore import draw, power
from kolm.verify.findings import could_not_look, failed, from_error, not_checked, passed
from kolm.verify.ports import RecountJob
from kolm.verify.subject import Subject

if TYPE_CHECKING:
    from kolm.records.documents import ExamplesRow


def lengths_are_repeated(subject: Subject) -> Iterator[Finding]:
    """Tokens, labels, cut and dropped of captures that are drawn when the bundle is fixed."""
    request = subject.auditor.rescore
    if request is None:
        raise AssertionError("captures are encoded again only on request")
    for needed in ("V40", "V41"):
        if subject.results[needed].verdict is not Verdict.OK:
            yield not_checked(f"needs {needed}: another base's tokens show nothing")
            return
    lines = subject.lines
    learned = [number for side in LEARNED for number in lines.of_split(side)]
    drawn = frozenset(draw(len(learned), request.cases, request.entropy))
    stated = {n: row for n, row in enumerate(subject.documents.rows(EXAMPLES)) if n in drawn}
    sides = {lines.captures[learned[number]]: row["side"] for number, row in stated.items()}
    try:
        base = subject.auditor.base_folder()
        found = request.recount(RecountJob(bundle=subject.container, base=base, sides=sides))
    except KolmError as error:
        yield from_error(error)
        return
    for number, row in stated.items():
        place = f"{EXAMPLES}:{number + 1}, {lines.place(learned[number])}"
        yield from _same_row(place, row, found.get(lines.captures[learned[number]]))
    yield passed(
        f"recomputed for {len(drawn):,} of {len(learned):,} captures, drawn here; "
        f"{power(len(learned), len(drawn), what='length')}"
    )


def _same_row(place: str, stated: ExamplesRow, found: ExamplesRow | None) -> Iterator[Finding]:
    if found is None:
        yield could_not_look("the store does not hold the capture", where=place)
    elif found != stated:
        yield failed(
            "the capture encodes to other lengths than stated",
            where=place,
            expected=_told(found),
            found=_told(stated),
            rule="X3",
        )


def _told(row: ExamplesRow) -> str:
    return ", ".join(f"{key} {value}" for key, value in sorted(row.items()) if key != "side")


ANSWERS: Answers = {"V55": lengths_are_repeated}
