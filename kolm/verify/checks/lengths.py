"""V55 and V57: what captures that the auditor draws encode to, against what the bundle states.

V55 asks for the lengths that order the training, and V57, where all were drawn, for the operations
of the vision tower. The encoding happens in a child process that `actions` starts; this only
chooses and compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from kolm.errors import KolmError
from kolm.format import outline
from kolm.format.names import EXAMPLES, TRACE
from kolm.format.sights import Read, Sight
from kolm.records.sides import LEARNED
from kolm.records.verification import Finding, Verdict
from kolm.sign.predicates import COMPUTE
from kolm.verify.check import Answers
from kolm.verify.checks.rescore import draw, power
from kolm.verify.findings import (
    could_not_look,
    failed,
    from_error,
    not_checked,
    passed,
    unless_equal,
)
from kolm.verify.ports import RecountJob
from kolm.verify.subject import Subject

if TYPE_CHECKING:
    from kolm.records.documents import ExamplesRow
    from kolm.run.documents import RecountedPicture


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
    if len(drawn) == len(learned):
        subject.recounted = found
    for number, row in stated.items():
        place = f"{EXAMPLES}:{number + 1}, {lines.place(learned[number])}"
        yield from _same_row(place, row, found["rows"].get(lines.captures[learned[number]]))
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


def tower_is_counted_again(subject: Subject) -> Iterator[Finding]:
    """By the pictures of every capture that was read, and of an adapted tower by the trace."""
    if subject.recounted is None:
        yield not_checked("needs every capture encoded again: --rescore all")
        return
    claims = subject.claims.said(COMPUTE)
    if not claims:
        yield not_checked("nobody whom you trust claims what the training took")
        return
    lines, pictures = subject.lines, subject.recounted["pictures"]
    own = {
        side: {
            position: _sights(pictures[lines.captures[number]])
            for position, number in enumerate(lines.of_split(side))
            if lines.captures[number] in pictures
        }
        for side in LEARNED
    }
    looks = subject.lock["train"]["validation"] is not None
    validation = list(own["validation"].values()) if looks else []
    read = Read(own["train"], validation, subject.documents.rows(TRACE))
    base = outline.of_modules(subject.modules, subject.known_family())
    count = str(subject.rules.tower_operations(subject.lock, base, subject.method, read))
    for name, said in claims:
        yield from unless_equal(
            count,
            said["flops"]["tower"],
            "the claim states another count than the pictures give",
            rule="O6",
            where=f"compute claim by {name}#/flops/tower",
        )
    yield passed(f"{count} operations, by the pictures of all captures that were read")


def _sights(pictures: Iterable[RecountedPicture]) -> list[Sight]:
    return [
        Sight((p["pixels"], p["max_pixels"], p["among"]), p["sequences"], p["numbers"])
        for p in pictures
    ]


ANSWERS: Answers = {"V55": lengths_are_repeated, "V57": tower_is_counted_again}
