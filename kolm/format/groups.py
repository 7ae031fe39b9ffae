"""The format: captures that must be on one side, because they share pictures.

docs/format/snapshot.md, S4 and S5. There may be 700,000 captures, or pictures of one: what is kept
of each is a number or a raw id.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import NamedTuple

from kolm import digest
from kolm.digest import Digest
from kolm.distinct import Digests, Distinct
from kolm.records.sides import Split

# Captures of a group that was made by joining others. Small, because whoever joins all hard
# pictures holds them out together or not at all; docs/format/snapshot.md gives the odds.
MAX_JOINED = 8

Looks = tuple[Digest, ...]  # of one image: its file, its pixels, and its near twins if they count
_NONE = 0xFFFFFFFF  # no capture, or no look of a kind


class Member(NamedTuple):
    """What a split needs to know of a capture."""

    id: Digest
    images: tuple[Looks, ...]
    split: Split | None


class Captures:
    """What a split needs to know of all captures; each is called by its place by ascending id.

    Attributes:
        given: where each capture stands among the members.
        stated: the side that each capture states.
        alike: for each kind of look, and for each image by its place among all: the number of its
            look, which images that are alike share; or none.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        """Number the looks of the members, one kind after the other: they are most of the memory.

        Args:
            members: gone through again for each kind.
        """
        self._members = members
        self._ids = Digests()
        self._ends = array("I", [0])  # of each member's images
        stated, kinds = [], 0
        for member in members:
            self._ids.append(digest.raw_of(member.id))
            self._ends.append(self._ends[-1] + len(member.images))
            stated.append(member.split)
            kinds = max(kinds, *map(len, member.images)) if member.images else kinds
        self.given = array("I", self._ascending(len(stated)))
        self.stated = [stated[place] for place in self.given]
        self.alike = [self._numbers(kind) for kind in range(kinds)]

    def _ascending(self, count: int) -> Sequence[int]:
        """The members by ascending id, as they are in a snapshot already; a sort holds all ids."""
        if all(before <= after for before, after in pairwise(map(self._raw, range(count)))):
            return range(count)
        return sorted(range(count), key=self._raw)

    def _numbers(self, kind: int) -> array[int]:
        """Of each image the number of its look of a kind."""
        numbers, known = array("I"), Distinct()
        for looks in self._looks():
            has = kind < len(looks)
            numbers.append(known.number(digest.raw_of(looks[kind])) if has else _NONE)
        return numbers

    def _looks(self) -> Iterator[Looks]:
        """The looks of each image."""
        return (looks for member in self._members for looks in member.images)

    def __len__(self) -> int:
        return len(self.given)

    def _raw(self, given: int) -> bytes:
        return self._ids[given]

    def id_of(self, capture: int) -> Digest:
        """The id of a capture."""
        return digest.of_hex(self._raw(self.given[capture]).hex())

    def look_of(self, image: int, kind: int) -> Digest:
        """A look of an image by its place."""
        return next(islice(self._looks(), image, None))[kind]

    def images(self, capture: int) -> range:
        """The places of a capture's images."""
        given = self.given[capture]
        return range(self._ends[given], self._ends[given + 1])

    def looks(self, capture: int) -> Iterator[tuple[int, int, int]]:
        """The place of each image of a capture, and for each kind of look: kind and number."""
        for image in self.images(capture):
            for kind, numbers in enumerate(self.alike):
                if numbers[image] != _NONE:
                    yield image, kind, numbers[image]

    @property
    def all_images(self) -> int:
        """How many images there are, those that are alike among them."""
        return self._ends[-1]

    def seed(self, nonce: str | None = None) -> Digest:
        """What the order of groups is drawn from: all ids, ascending, and a buyer's nonce (S5)."""
        hasher = digest.Hasher()
        for given in self.given:
            hasher.update(self._raw(given))
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
    count = len(captures)
    first, size = array("I", range(count)), array("I", [0]) * count
    shown = [array("I", [_NONE]) * captures.all_images for _ in captures.alike]

    def find(capture: int) -> int:
        while first[capture] != capture:
            first[capture] = first[first[capture]]
            capture = first[capture]
        return capture

    for capture in _by_rank(captures):
        before = (shown[kind][number] for _, kind, number in captures.looks(capture))
        touched = {find(other) for other in before if other != _NONE}
        joined = 1 + sum(size[other] for other in touched)
        if most_joined is not None and len(touched) > 1 and joined > most_joined:
            continue
        into = min(capture, *touched) if touched else capture
        for other in (*touched, capture):
            first[other], size[other] = into, 0
        size[into] = joined
        for _, kind, number in captures.looks(capture):
            shown[kind][number] = capture
    for capture in range(count):
        first[capture] = find(capture)
    return Groups(first, size)


def _by_rank(captures: Captures) -> Iterator[int]:
    """Captures of one picture make the groups that captures of several then join."""
    for several in (False, True):
        for capture in range(len(captures)):
            if (len(captures.images(capture)) > 1) == several:
                yield capture
