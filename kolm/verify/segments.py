"""The segments of a training, as an audit counts, draws and weighs them.

The draw follows from the content id and a number that the auditor chose after the bundle was fixed:
its publisher cannot know it, and anybody who is told it can draw again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import comb
from typing import TYPE_CHECKING, NamedTuple

from kolm import canonical, digest
from kolm.digest import Digest
from kolm.errors import Refused
from kolm.format.schedule import Schedule
from kolm.records.verification import Missed

if TYPE_CHECKING:
    from kolm.records.documents import (
        Checkpoint,
        CheckpointPatience,
        TraceRow,
        TraceRowCheckpoint,
    )


class Boundary(NamedTuple):
    """A checkpoint of the trace: its step and state, and the state of early stopping there."""

    step: int
    state: Digest
    patience: CheckpointPatience | None

    def demand(self, document: Checkpoint, *, where: str) -> None:
        """Demand that a document is of this step and of this state of early stopping.

        Raises:
            Refused: ``E_STATE_FORM``.
        """
        for rule, field, expected, found in (
            ("C3", "step", self.step, document["step"]),
            ("C9", "patience", self.patience, document["patience"]),
        ):
            if expected != found:
                raise Refused(
                    "E_STATE_FORM",
                    f"a state differs from what follows from the trace ({rule})",
                    where=f"{where}#/{field}",
                    expected=str(expected),
                    found=str(found)[:200],
                )


class Segment(NamedTuple):
    """A part of a training between two checkpoints, numbered from 1.

    Attributes:
        begin: the checkpoint before it.
        end: the checkpoint after it.
        lines: of the trace, counted from 1, from its first row to the one after its last.
    """

    number: int
    begin: Boundary
    end: Boundary
    lines: range

    @property
    def steps(self) -> int:
        """How many it has."""
        return self.end.step - self.begin.step


def read_segments(trace: Iterable[TraceRow], schedule: Schedule) -> tuple[Segment, ...]:
    """The segments of a trace that follows from its lock (V08)."""
    patience, before = schedule.new_patience(), None
    found: list[Segment] = []
    first = 1
    for number, row in enumerate(trace, start=1):
        if row["kind"] == "checkpoint":
            here = _boundary(row, patience.to_document() if patience else None)
            if before is not None:
                found.append(Segment(len(found) + 1, before, here, range(first, number)))
            before, first = here, number + 1
        elif row["kind"] == "validation" and patience:
            told = schedule.decisive(row)
            if told is not None:
                patience.tell(told)
    return tuple(found)


def rows_of(
    trace: Iterable[TraceRow], segments: Sequence[Segment]
) -> dict[int, tuple[TraceRow, ...]]:
    """The rows of some segments, by number; of a long trace that is little."""
    wanted = {line: segment.number for segment in segments for line in segment.lines}
    found: dict[int, list[TraceRow]] = {segment.number: [] for segment in segments}
    for line, row in enumerate(trace, start=1):
        if line in wanted:
            found[wanted[line]].append(row)
    return {number: tuple(rows) for number, rows in found.items()}


def _boundary(row: TraceRowCheckpoint, patience: CheckpointPatience | None) -> Boundary:
    return Boundary(row["step"], Digest(row["state"]), patience)


def draw_segments(total: int, wanted: int | None, content: Digest, nonce: Digest) -> list[int]:
    """The numbers of the segments that are run again, ascending: the first, and `wanted` others.

    Args:
        total: how many segments there are.
        wanted: how many besides the first; None for all.
        content: content id of the bundle.
        nonce: of the auditor, chosen when the bundle was fixed.
    """
    others = list(range(2, total + 1))
    if wanted is not None:
        digest.Stream(digest.derive("replay", content, nonce)).shuffle(others)
        others = others[:wanted]
    return [1, *sorted(others)] if total else []


def chances(total: int, drawn: int) -> tuple[Missed, ...]:
    """What a draw of `drawn` of the segments after the first misses, for telling numbers of bad
    ones among them: one, a tenth, half and all.

    C(n − m, q) / C(n, q) for m bad ones of n, of which q are drawn: the hypergeometric distribution
    at 0 (Feller, An Introduction to Probability Theory, volume I, section II.6).
    """
    others = total - 1
    if others < 1:
        return ()
    bad = sorted({1, max(1, others // 10), max(1, others // 2), others})
    return tuple(Missed(m, missed(others, m, drawn)) for m in bad)


def missed(total: int, bad: int, drawn: int) -> str:
    """The probability that `drawn` of `total`, of which `bad` are bad, holds none of these."""
    return canonical.decimal(float(Fraction(comb(total - bad, drawn), comb(total, drawn))), 4)


def ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers in words, as ``1-3, 7``."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
