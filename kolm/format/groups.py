"""The format: captures that must be on one side, because they share pictures.

docs/format/snapshot.md, S4 and S5. There may be 700,000 captures: what is kept of each is a number.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, Self, TypeVar

from kolm import digest
from kolm.digest import Digest
from kolm.format.pictures import NONE, Pictures
from kolm.records.sides import Split
from kolm.score.clusters import root

# Captures of a group that was made by joining others. Small, because whoever joins all hard
# pictures holds them out together or not at all; docs/format/snapshot.md gives the odds.
MAX_JOINED = 8

Looks = tuple[Digest, ...]  # of one picture, in the order of `pictures.LOOKS`
T = TypeVar("T")
_NOBODY = 0xFFFFFFFF  # no capture
_AT_ONCE = 4096  # ids that are hashed together


class Member(NamedTuple):
    """What a split needs to know of a capture."""

    id: Digest
    images: tuple[Looks, ...]
    split: Split | None


class Captures:
    """What a split needs to know of all captures; each is called by its place by ascending id.

    Args:
        ids: of the captures.
        stated: the side that each states.
        pictures: that they show.

    Attributes:
        given: where each capture stands among those that were given.
        stated: the side that each capture states.
        pictures: as they were given.
    """

    def __init__(
        self, ids: Sequence[Digest], stated: Sequence[Split | None], pictures: Pictures
    ) -> None:
        self._ids = ids
        self.given = array("I", self._ascending())
        self.stated = [stated[place] for place in self.given]
        self.pictures = pictures

    @classmethod
    def of(cls, members: Sequence[Member]) -> Self:
        """The captures that members are."""
        shown = [member.images for member in members]
        pictures = Pictures(shown, lambda looks, kind: looks[kind] if kind < len(looks) else None)
        return cls([member.id for member in members], [m.split for m in members], pictures)

    def _ascending(self) -> Sequence[int]:
        """The captures by ascending id, as they are in a snapshot already; a sort holds all ids."""
        count = len(self._ids)
        if all(before <= after for before, after in pairwise(self._ids)):
            return range(count)
        return sorted(range(count), key=self._ids.__getitem__)

    def __len__(self) -> int:
        return len(self.given)

    def id_of(self, capture: int) -> Digest:
        """The id of a capture."""
        return self._ids[self.given[capture]]

    def images(self, capture: int) -> range:
        """The places of a capture's pictures."""
        return self.pictures.of(self.given[capture])

    def as_given(self, found: Sequence[T]) -> list[T]:
        """What is found of each capture, in the order in which they were given."""
        ordered = list(found)
        for given, value in zip(self.given, found, strict=True):
            ordered[given] = value
        return ordered

    def seed(self, nonce: str | None = None) -> Digest:
        """What the order of groups is drawn from: all ids, ascending, and a buyer's nonce (S5)."""
        hasher = digest.Hasher()
        for start in range(0, len(self), _AT_ONCE):
            ids = (self._ids[given] for given in self.given[start : start + _AT_ONCE])
            hasher.update(bytes.fromhex("".join(map(digest.hex_of, ids))))
        hasher.update(bytes.fromhex(nonce or ""))
        return hasher.digest()


class Groups(NamedTuple):
    """Captures that share images.

    Attributes:
        first: for each capture, the first of its group: it gives the group its id.
        size: for the first capture of each group, how many it has; 0 for other captures. A capture
            that would have joined too much is its own first, and 0.
    """

    first: array[int]
    size: array[int]

    def firsts(self) -> Iterator[int]:
        """The first capture of each group."""
        return (capture for capture, size in enumerate(self.size) if size)

    def is_out(self, capture: int) -> bool:
        """Whether a capture is in no group."""
        return not self.size[self.first[capture]]


def group(captures: Captures, *, most_joined: int | None) -> Groups:
    """Captures that share images, directly or through others.

    Args:
        captures: all of them.
        most_joined: a capture that would join groups into one of more captures than this, itself
            among them, is left out; None: none is.
    """
    count, pictures = len(captures), captures.pictures
    first, size = array("I", range(count)), array("I", [0]) * count
    shown = [array("I", [_NOBODY]) * looks for looks in pictures.counts]  # of those that show each
    kinds = list(zip(shown, pictures.alike, strict=True))

    for capture in _by_rank(captures):
        looks, touched = [], {capture}
        for image in captures.images(capture):
            for by, numbers in kinds:
                number = numbers[image]
                if number != NONE:
                    looks.append((by, number))
                    if by[number] != _NOBODY:
                        touched.add(root(first, by[number]))
        joined = 1 + sum(map(size.__getitem__, touched))
        if most_joined is not None and len(touched) > 2 and joined > most_joined:
            continue
        into = min(touched)
        for other in touched:
            first[other], size[other] = into, 0
        size[into] = joined
        for by, number in looks:
            by[number] = into
    for capture in range(count):
        first[capture] = root(first, capture)
    return Groups(first, size)


def _by_rank(captures: Captures) -> Iterator[int]:
    """Captures of one picture make the groups that captures of several then join."""
    of_several = array("I")
    for capture in range(len(captures)):
        if len(captures.images(capture)) > 1:
            of_several.append(capture)
        else:
            yield capture
    yield from of_several
