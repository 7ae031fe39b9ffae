"""The format: captures that must be on one side, because they share pictures.

docs/format/snapshot.md, S4 and S5.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kolm.digest import Digest
from kolm.records.sides import Split

# Captures of a group that was made by joining others. Small, because whoever joins all hard
# pictures holds them out together or not at all; docs/format/snapshot.md gives the odds.
MAX_JOINED = 8

Looks = tuple[Digest, ...]  # of one image: its file, its pixels, and its near twins if they count


class Member(NamedTuple):
    """What a split needs to know of a capture."""

    id: Digest
    images: tuple[Looks, ...]
    split: Split | None


Group = list[Member]


class Grouped(NamedTuple):
    """Groups, and the captures that would have joined too much; all by ascending id."""

    groups: list[Group]
    left_out: list[Member]


def group(members: Sequence[Member], *, most_joined: int | None) -> Grouped:
    """Captures that share images, directly or through others.

    Args:
        members: by ascending id.
        most_joined: a capture that would join groups into one of more captures than this, itself
            among them, is left out; None: none is.
    """
    parts = _Parts(len(members))
    left_out = []
    for index in _by_rank(members):
        if not parts.take_in(index, members[index].images, most_joined):
            left_out.append(index)
    joined: dict[int, Group] = {}
    out = set(left_out)
    for index, member in enumerate(members):
        if index not in out:
            joined.setdefault(parts.root(index), []).append(member)
    return Grouped(list(joined.values()), [members[index] for index in sorted(left_out)])


def _by_rank(members: Sequence[Member]) -> Iterable[int]:
    """Captures of one picture make the groups that captures of several then join."""
    several = [index for index, member in enumerate(members) if len(member.images) > 1]
    skip = set(several)
    yield from (index for index in range(len(members)) if index not in skip)
    yield from several


class _Parts:
    """A union of disjoint sets over the places of captures, found by the looks of their images."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))
        self._size = [1] * count
        self._known: tuple[dict[Digest, int], ...] = ({}, {}, {})  # by kind of look
        self._alike: dict[tuple[Looks, ...], int] = {}

    def root(self, index: int) -> int:
        parent = self._parent
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    def take_in(self, index: int, images: tuple[Looks, ...], most_joined: int | None) -> bool:
        """Put a capture into the group of its images; False when it would join too much."""
        if not images:
            return True
        first = self._alike.get(images)
        if first is not None:  # most captures ask about pictures that an earlier one has shown
            self._unite(index, {self.root(first)})
            return True
        touched = {
            self.root(known[look])
            for looks in images
            for known, look in zip(self._known, looks, strict=False)
            if look in known
        }
        size = 1 + sum(self._size[root] for root in touched)
        if most_joined is not None and len(touched) > 1 and size > most_joined:
            return False
        self._unite(index, touched)
        self._alike[images] = index
        for looks in images:
            for known, look in zip(self._known, looks, strict=False):
                known.setdefault(look, index)
        return True

    def _unite(self, index: int, roots: set[int]) -> None:
        into = min(roots, default=index)
        for root in (*roots, index):
            if root != into:
                self._parent[root] = into
                self._size[into] += self._size[root]
