"""The bundle: files that come out of a stream or go into one, such as a registry's."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Protocol

from kolm.bundle import limits
from kolm.bundle.container import START, Container
from kolm.bundle.held import PIECE_BYTES, Held, copied, demand_start, pieces_of, write_piece
from kolm.errors import Refused


class Readable(Protocol):
    """A stream of bytes, such as an open file or the body of an answer."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size` of them; none at the end."""


def hold_stream(stream: Readable, *, size: int, where: str) -> Held:
    """Read a stream to its end into a private copy.

    Args:
        stream: is read no further than a piece beyond `size`, whatever it goes on to hand out.
        size: how many bytes it must have.
        where: what errors call it.

    Raises:
        Refused: ``E_CONTAINER_LIMIT``: larger than any bundle; ``E_BLOB_DIGEST``: another size.
        KolmError: what the operating system says, of the stream or of the copy.
    """
    limits.BUNDLE_BYTES.hold(size, where=where)
    path = Path(where)
    return copied(path, pieces_of(stream.read, size, path, other_bytes), size)


def other_bytes(where: Path | str, expected: str, found: str) -> Refused:
    """The error of a file that is not the one that a registry's entry names."""
    return Refused(
        "E_BLOB_DIGEST",
        "the registry's file is not the one that its signed entry names",
        where=str(where),
        expected=expected,
        found=found,
    )


def container_of(held: Held) -> Container:
    """Walk the entries of a file that is held already.

    Raises:
        Unreadable: ``E_NOT_A_BUNDLE``.
    """
    demand_start(held.path, bytes(held.view[: len(START) + 8]), START)
    return Container(held)


def write_out(stream: IO[bytes], view: memoryview) -> None:
    """Write a whole copy into an empty file; a hole stays a hole."""
    for start in range(0, len(view), PIECE_BYTES):
        write_piece(stream, bytes(view[start : start + PIECE_BYTES]))
    stream.truncate(len(view))
