"""The format: the pictures that captures show, by numbers that equal looks share.

Groups, sides and counts all ask who shows the same picture. Each look is numbered once for all of
them: there may be 700,000 captures, or pictures of one, and what is kept of a picture is a number.
"""

from __future__ import annotations

import operator
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from itertools import chain, islice, repeat
from typing import Final, TypeVar

from kolm.digest import Digest
from kolm.distinct import Distinct
from kolm.records.sides import Placed

Picture = TypeVar("Picture", bound=Sized)
T = TypeVar("T")

LOOKS: Final = ("file", "pixels", "twins")  # the kinds: the last where near twins count as one
SIDES: Final[Mapping[Placed, int]] = {"eval": 1, "train": 2, "validation": 4, "none": 0}  # marks
ONE_SIDE: Final = frozenset(SIDES.values())  # of captures that are on one side at the most
NONE: Final = 0xFFFFFFFF  # in place of a number: the picture has no look of the kind


class Pictures:
    """The pictures of captures, one capture after the other.

    Args:
        shown: the pictures of each capture; a picture is as long as it has looks. Gone through
            again for each kind of look, since the digests are most of the memory.
        look: the look of a kind, or None.

    Attributes:
        ends: where the pictures of each capture end among all, after a 0.
        alike: for each kind, and each picture by its place among all, the number of its look.
        counts: how many looks of each kind there are.
    """

    def __init__(
        self, shown: Iterable[Sequence[Picture]], look: Callable[[Picture, int], Digest | None]
    ) -> None:
        def looks(kind: int) -> Iterator[Digest | None]:
            return (look(picture, kind) for pictures in shown for picture in pictures)

        self._looks = looks
        self.ends, kinds = array("I", [0]), 0
        for pictures in shown:
            self.ends.append(self.ends[-1] + len(pictures))
            kinds = max(kinds, *map(len, pictures)) if pictures else kinds
        self.alike: list[array[int]] = []
        self.counts: list[int] = []
        for kind in range(kinds):
            numbers, known = array("I"), Distinct()
            for found in looks(kind):
                numbers.append(NONE if found is None else known.number(found))
            self.alike.append(numbers)
            self.counts.append(len(known))

    def __len__(self) -> int:
        return self.ends[-1]

    def of(self, capture: int) -> range:
        """The places of a capture's pictures."""
        return range(self.ends[capture], self.ends[capture + 1])

    def look(self, picture: int, kind: int) -> Digest | None:
        """A look of a picture by its place."""
        return next(islice(self._looks(kind), picture, None))

    def each(self, stated: Iterable[T]) -> Iterator[T]:
        """What is stated of each capture, for each of its pictures."""
        counts = map(operator.sub, islice(self.ends, 1, None), self.ends)
        return chain.from_iterable(map(repeat, stated, counts))

    def marked(self, kind: str, marks: Iterable[int]) -> bytearray:
        """For each look of a kind the marks of all captures that show it, together.

        Args:
            kind: one of `LOOKS`; no picture need have it.
            marks: of each capture, a byte of which each bit is one mark.
        """
        place = LOOKS.index(kind)
        if place >= len(self.counts):
            return bytearray()
        found = bytearray(self.counts[place])
        for number, mark in zip(self.alike[place], self.each(marks), strict=True):
            if number != NONE:
                found[number] |= mark
        return found
