"""The bundle: a file that is too large to be held, such as a base's shard, read by ranges.

A mapping would be simpler, but the process that reads a page which somebody cut away ends without
a word; a read that comes up short is an error that can be told.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from kolm import system
from kolm.bundle.held import open_regular
from kolm.bundle.limits import MIB
from kolm.errors import Unreadable

_PIECE_BYTES: Final = 4 * MIB  # a multiple of every element size


class Ranges:
    """An open file; a slice of it is read when it is asked for.

    Raises:
        Unreadable: ``E_CANNOT_READ``: no regular file, or it was cut short meanwhile.
        KolmError: what the operating system says.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = open_regular(path)
        self._size = os.fstat(self._handle).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)

    def __len__(self) -> int:
        return self._size

    @property
    def facts(self) -> os.stat_result:
        """What the file system says of the open file now."""
        return os.fstat(self._handle)

    def __getitem__(self, part: slice) -> bytes:
        """The bytes of a range."""
        start, end, _ = part.indices(self._size)
        return b"".join(self.pieces(start, end))

    def pieces(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes of a range, some megabytes at a time."""
        while start < end:
            wanted = min(_PIECE_BYTES, end - start)
            with system.naming(self._path):
                piece = os.pread(self._handle, wanted, start)
            if len(piece) < wanted:
                raise Unreadable(
                    "E_CANNOT_READ",
                    "the file was cut short while it was read",
                    where=str(self._path)[:400],
                    expected=f"{self._size} bytes",
                    found=f"{start} bytes",
                    hint="try again when nothing writes to it",
                )
            yield piece
            start += len(piece)
