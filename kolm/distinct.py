"""The floor: many digests at once, in little more memory than their bytes.

A hostile file may name a million pictures. A dict of them takes 160 bytes a digest and more while
it grows; this takes 32, and 6 to 12 for finding one again.
"""

from __future__ import annotations

import mmap
from array import array
from typing import Final

from kolm.digest import Digest, of_hex, raw_of

_SIZE: Final = 32  # bytes of a digest
_PLACES: Final = 32 * 1024  # digests in one block: nothing is moved when there are more
_FEW: Final = 32 * 1024  # of distinct digests, for which a dict is twice as fast and small enough
_NONE: Final = 0xFFFFFFFF


class Digests:
    """A column of digests, 32 bytes each; one that is there can be replaced.

    Its blocks are pages of the system's, which has them back at once when nobody needs them: the
    heap would keep them in holes.
    """

    def __init__(self) -> None:
        self._blocks: list[mmap.mmap] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, digest: Digest) -> None:
        """Add one at the end."""
        if self._count == len(self._blocks) * _PLACES:
            self._blocks.append(mmap.mmap(-1, _PLACES * _SIZE))
        self._count += 1
        self[self._count - 1] = digest

    def __getitem__(self, place: int) -> Digest:
        return of_hex(self.raw(place).hex())

    def __setitem__(self, place: int, digest: Digest) -> None:
        block, at = divmod(place, _PLACES)
        self._blocks[block][at * _SIZE : (at + 1) * _SIZE] = raw_of(digest)

    def raw(self, place: int) -> bytes:
        """The 32 bytes of one."""
        block, at = divmod(place, _PLACES)
        return self._blocks[block][at * _SIZE : (at + 1) * _SIZE]


class Distinct:
    """Digests, each once, numbered from 0 in the order in which they came first."""

    def __init__(self) -> None:
        self._digests = Digests()
        self._first: dict[Digest, int] = {}  # the numbers of the first few
        self._slots = array("I", [_NONE]) * 1024  # of the other numbers, by hash

    def __len__(self) -> int:
        return len(self._digests)

    def __getitem__(self, number: int) -> Digest:
        return self._digests[number]

    def number(self, digest: Digest) -> int:
        """The number of a digest, which gets one if it has none."""
        known = self._first.get(digest)
        if known is not None:
            return known
        count = len(self._digests)
        if count < _FEW:
            self._first[digest] = count
            self._digests.append(digest)
            return count
        slot = self._slot(raw_of(digest))
        if self._slots[slot] != _NONE:
            return self._slots[slot]
        self._slots[slot] = count
        self._digests.append(digest)
        if 3 * (count - _FEW) > 2 * len(self._slots):
            self._slots = array("I", [_NONE]) * (2 * len(self._slots))
            for number in range(_FEW, count + 1):
                self._slots[self._slot(self._digests.raw(number))] = number
        return count

    def _slot(self, raw: bytes) -> int:
        """Where the number of a digest stands, or would."""
        slots, digests = self._slots, self._digests
        last = len(slots) - 1
        slot = hash(raw) & last
        while slots[slot] != _NONE and digests.raw(slots[slot]) != raw:
            slot = (slot + 1) & last
        return slot
