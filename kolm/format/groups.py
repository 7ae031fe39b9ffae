"""The format: captures that must be on one side, because they share pictures.

docs/format/snapshot.md, S4 and S5. There may be 700,000 captures, or pictures of one: what is kept
of each is a number or a raw id.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from kolm import digest
from kolm.digest import Digest
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
        alike: for each kind of look, and for each image by its place among all: the place of an
            image with the same look, which is one for all of them; or none.
    """

    def __init__(self, members: Iterable[Member]) -> None:
        """Number the looks of the members, which are gone through once."""
        self._ids = bytearray()
        self._ends = array("I", [0])  # of each member's images
        self._shown: list[bytearray] = []  # of each kind the looks of all images, side by side
        self._kinds = bytearray()  # how many looks each image has
        stated = []
        for member in members:
            self._ids += digest.raw_of(member.id)
            self._ends.append(self._ends[-1] + len(member.images))
            stated.append(member.split)
            for looks in member.images:
                self._add(looks)
        self.given = array("I", self._ascending(len(stated)))
        self.stated = [stated[place] for place in self.given]
        self.alike = [self._numbers(kind) for kind in range(len(self._shown))]

    def _ascending(self, count: int) -> Sequence[int]:
        """The members by ascending id, as they are in a snapshot already; a sort holds all ids."""
        if all(before <= after for before, after in pairwise(map(self._raw, range(count)))):
            return range(count)
        return sorted(range(count), key=self._raw)

    def _add(self, looks: Looks) -> None:
        while len(self._shown) < len(looks):
            self._shown.append(bytearray(32 * len(self._kinds)))
        for kind, shown in enumerate(self._shown):
            shown += digest.raw_of(looks[kind]) if kind < len(looks) else bytes(32)
        self._kinds.append(len(looks))

    def _numbers(self, kind: int) -> array[int]:
        """Of each image the place of the first image with the same look of a kind."""
        count = len(self._kinds)
        numbers = array("I", [_NONE]) * count
        slots = array("I", [_NONE]) * (2 * count + 1)  # a dict would hold every look once more
        for image in (image for image, kinds in enumerate(self._kinds) if kind < kinds):
            look = self._look(image, kind)
            slot = hash(look) % len(slots)
            while slots[slot] != _NONE and self._look(slots[slot], kind) != look:
                slot = (slot + 1) % len(slots)
            numbers[image] = slots[slot] = min(slots[slot], image)
        return numbers

    def _look(self, image: int, kind: int) -> bytes:
        return bytes(self._shown[kind][32 * image : 32 * image + 32])

    def __len__(self) -> int:
        return len(self.given)

    def _raw(self, given: int) -> bytes:
        return bytes(self._ids[32 * given : 32 * given + 32])

    def id_of(self, capture: int) -> Digest:
        """The id of a capture."""
        return digest.of_hex(self._raw(self.given[capture]).hex())

    def look_of(self, image: int, kind: int) -> Digest:
        """A look of an image by its place."""
        return digest.of_hex(self._look(image, kind).hex())

    def forget_looks(self) -> None:
        """Free what `look_of` alone needs: half of all that is held."""
        self._shown.clear()

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
