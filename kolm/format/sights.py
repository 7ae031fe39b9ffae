"""Format: what the vision tower of a training was shown, and the operations of that.

It follows from the pictures of the captures that the training read, and of an adapted tower from
the trace. Rules O6 and O15 of docs/format/compute.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from kolm.format.flops import FORWARD, INPUT, adapter_operations, delta_elements
from kolm.format.outline import Outline
from kolm.methods import Method

if TYPE_CHECKING:
    from kolm.records.documents import Lock, TraceRow, TrainFactsPicture


class Sight(NamedTuple):
    """What the tower is shown of one picture of a capture.

    Attributes:
        key: of the picture as a capture uses it; what has one key is one picture to the tower.
        sequences: how many sequences of patches it becomes.
        numbers: how many numbers each of these has.
    """

    key: Hashable
    sequences: int
    numbers: int


class Read(NamedTuple):
    """The pictures that a training read.

    Attributes:
        train: of each capture that can be used, by its position on the side.
        validation: of that side's captures; nothing where the training never looks at it.
        trace: the rows of trace.jsonl, which an adapted tower follows.
    """

    train: Mapping[int, Sequence[Sight]]
    validation: Sequence[Sequence[Sight]]
    trace: Iterable[TraceRow]

    def shown(self, lock: Lock) -> list[TrainFactsPicture]:
        """What the tower was shown: each distinct picture once, or, where it is adapted, all of
        every batch."""
        counts: Counter[tuple[bool, int, int]] = Counter()
        looked_at = [sight for own in self.validation for sight in own]
        if lock["train"]["freeze"]["vision"] is False:
            for row in self.trace:
                if row["kind"] == "step":
                    for position in row["positions"]:
                        own = self.train[position]
                        counts.update((True, s.sequences, s.numbers) for s in own)
                elif row["kind"] == "validation":
                    counts.update((False, s.sequences, s.numbers) for s in looked_at)
        else:
            read = [sight for own in self.train.values() for sight in own] + looked_at
            distinct = {sight.key: sight for sight in read}
            counts.update((False, s.sequences, s.numbers) for s in distinct.values())
        return [
            {"learned": learned, "numbers": numbers, "sequences": sequences * count}
            for (learned, sequences, numbers), count in sorted(counts.items())
        ]


def tower_operations(base: Outline, pictures: Iterable[TrainFactsPicture], method: Method) -> int:
    """The operations of the tower on what it was shown (O15).

    Args:
        base: its outline by ``modules.jsonl``.
        pictures: as `Read.shown` gives them.
        method: of the lock.
    """
    lengths: dict[bool, Counter[int]] = {False: Counter(), True: Counter()}
    for shown in pictures:
        length = shown["numbers"] // max(1, base.patch_numbers)
        lengths[shown["learned"]][length] += shown["sequences"]
    return sum(
        tower_flops(base, own, method=method if learned else None)
        for learned, own in lengths.items()
    )


def tower_flops(
    base: Outline, sequences: Mapping[int, int], *, method: Method | None = None
) -> int:
    """The operations of the tower on pictures; every patch attends to all of its sequence, and so
    does a class token that stands before them.

    Args:
        base: its outline.
        sequences: how many sequences of patches there are of each length.
        method: that adapts it, and then backward too; None for forward alone.
    """
    patches = sum(length * count for length, count in sequences.items())
    seen = [
        (base.places or length + base.class_tokens, count) for length, count in sequences.items()
    ]
    positions = sum(length * count for length, count in seen)
    squares = sum(length**2 * count for length, count in seen)
    passes = FORWARD + (INPUT if method else 0)
    total = passes * patches * sum((m.products for m in base.patches), Fraction(0))
    for block in base.vision:
        for matrix in block.matrices:
            total += passes * positions * matrix.products
            if method and (elements := delta_elements(method, matrix)):
                total += positions * adapter_operations(elements, backward=True, reached=True)
        total += block.attention * squares * 2 * (FORWARD + (2 * INPUT if method else 0))
    return round(total)
