"""The bundle: the bytes of a file, taken once, so that nobody can change what was verified.

Whoever judges a file and then uses it must use the bytes that were judged. A path can be renamed
and a file rewritten or cut short in between, and a page of a mapped file that is gone ends the
process. So a file is read once into a private copy, and the copy is what is hashed and what
everything after that reads. Small files are copied into memory, large ones into a temporary file
without a name, which the system gives back however the process ends.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import IO, Final

from kolm import digest, system
from kolm.bundle import limits
from kolm.bundle.limits import MIB
from kolm.digest import Digest
from kolm.errors import KolmError, Refused, Unreadable

PIECE_BYTES: Final = 64 * 1024  # stays in the cache, and in memory that was touched before
_IN_MEMORY_BYTES: Final = 64 * MIB  # an adapter with its evidence; larger copies lie on disk
_ZEROS: Final = bytes(PIECE_BYTES)


class Held:
    """A private copy of a whole file: where it came from, its bytes, and their digest.

    An audit hashes blobs, not files, so the digest is computed when it is first asked for, unless
    whoever made the copy `hashed` it.
    """

    def __init__(self, path: Path, view: memoryview, hashed: Digest | None = None) -> None:
        self.path = path
        self.view = view
        self._hashed = hashed

    @cached_property
    def digest(self) -> Digest:
        """The digest of the copy."""
        return self._hashed or digest_of(self.view)


def digest_of(view: memoryview) -> Digest:
    """The digest of a part of a private copy, taken into the processor's cache piece by piece.

    Hashed where they are mapped, pages that were not touched yet take a third longer.
    """
    hasher = digest.Hasher()
    for place in range(0, len(view), PIECE_BYTES):
        hasher.update(bytes(view[place : place + PIECE_BYTES]))
    return hasher.digest()


def hold(path: Path, *, start: bytes | None = None) -> Held:
    """Read a whole file into a private copy.

    Args:
        path: a regular file; links are followed.
        start: what it must begin with: another file is refused before the rest is read.

    Raises:
        Unreadable: ``E_CANNOT_READ``: no regular file, or it changed while it was read;
            ``E_NOT_A_BUNDLE``: it begins otherwise.
        Refused: ``E_CONTAINER_LIMIT``: larger than any bundle; ``E_CONTAINER_HOLES``: mostly
            holes.
        KolmError: what the operating system says, such as ``E_DISK_FULL`` for the copy.
    """
    handle = open_regular(path)
    try:
        stated = os.fstat(handle).st_size
        if start is not None:
            demand_start(path, os.pread(handle, len(start) + 8, 0), start)
        limits.BUNDLE_BYTES.hold(stated, where=path.name)
        if start is not None and stated > _IN_MEMORY_BYTES:
            _demand_written(path, handle, stated)
        whole = pieces_of(lambda most: os.read(handle, most), stated, path, changed)
        return copied(path, whole, stated)
    finally:
        os.close(handle)


def _demand_written(path: Path, handle: int, size: int) -> None:
    """Refuse a file that is mostly holes: it cost its maker nothing, and minutes to read."""
    place = holes = 0
    while place < size and 2 * holes <= size:
        hole = os.lseek(handle, place, os.SEEK_HOLE)
        try:
            place = os.lseek(handle, hole, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise system.error_of(error, where=path) from None
            place = size  # nothing follows the hole
        holes += place - hole
    if 2 * holes > size:
        raise Refused(
            "E_CONTAINER_HOLES",
            "most of the file was never written",
            where=path.name,
            expected=f"{size} bytes of a bundle",
            found=f"a hole of {holes} bytes or more",
        )
    os.lseek(handle, 0, os.SEEK_SET)


def open_regular(path: Path, *, follow: bool = True) -> int:
    """A handle to read a regular file with; `follow` a symbolic link to it, or not.

    Raises:
        Unreadable: ``E_CANNOT_READ``: it is none.
        KolmError: what the operating system says.
    """
    where = str(path)[:400]
    # O_NONBLOCK: opening a pipe must not wait for its writer.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        raise system.error_of(error, where=path) from None
    except ValueError as error:  # a name with a zero byte
        raise Unreadable("E_CANNOT_READ", f"cannot open the file: {error}", where=where) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        hint = "".join(f"did you mean {near}?" for near in sorted(path.glob("*.kolm"))[:1])
        raise Unreadable("E_CANNOT_READ", "this is not a regular file", where=where, hint=hint)
    return handle


def pieces_of(
    read: Callable[[int], bytes],
    size: int,
    path: Path,
    another_size: Callable[[Path, str, str], KolmError],
) -> Iterator[bytes]:
    """What `read` gives until nothing is left, `size` bytes in all or an error."""
    done = 0
    with system.naming(path):
        while done <= size and (piece := read(PIECE_BYTES)):
            done += len(piece)
            if done <= size:
                yield piece
    if done != size:
        found = "more" if done > size else f"{done} bytes"
        raise another_size(path, f"{size} bytes", found)


def changed(path: Path, expected: str, found: str) -> Unreadable:
    """The error of a file whose size is not what it was a moment before."""
    return Unreadable(
        "E_CANNOT_READ",
        "the file changed while it was read",
        where=str(path)[:400],
        expected=expected,
        found=found,
        hint="try again when nothing writes to it",
    )


def write_piece(stream: IO[bytes], piece: bytes) -> None:
    """Write a piece of `PIECE_BYTES` or less; a hole stays a hole."""
    if piece == _ZEROS:
        stream.seek(len(piece), os.SEEK_CUR)
    else:
        stream.write(piece)


def copied(path: Path, pieces: Iterator[bytes], size: int) -> Held:
    """A private copy of `size` bytes, in memory or in a temporary file."""
    if size <= _IN_MEMORY_BYTES:
        data = bytearray(size)
        place = 0
        for piece in pieces:
            data[place : place + len(piece)] = piece
            place += len(piece)
        return Held(path, memoryview(data).toreadonly())
    import mmap  # small files, which most bundles are, need none of it
    import tempfile

    with system.naming("the temporary copy (TMPDIR)"), tempfile.TemporaryFile() as stream:
        for piece in pieces:
            write_piece(stream, piece)
        stream.truncate(size)
        stream.flush()
        mapped = mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ)
    return Held(path, memoryview(mapped))


_SIGNATURES: Final = (
    (b"PK\x03\x04", "a zip file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"{", "a JSON file"),
)


def demand_start(path: Path, found: bytes, start: bytes) -> None:
    """Demand that a file begins like a bundle.

    Raises:
        Unreadable: ``E_NOT_A_BUNDLE``.
    """
    if found.startswith(start):
        return
    kinds = (kind for signature, kind in _SIGNATURES if found.startswith(signature))
    raise Unreadable(
        "E_NOT_A_BUNDLE",
        "this is not a kolm bundle",
        where=path.name,
        expected="an uncompressed tar whose first entry is oci-layout",
        found=next(kinds, "another kind of file") if found else "an empty file",
        hint="name a .kolm file, as kolm compile and kolm pull write it",
    )
