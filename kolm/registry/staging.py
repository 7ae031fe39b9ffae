"""Copying a file and hashing it on the way: what was checked is then exactly what is kept."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kolm import system
from kolm.digest import Digest, Hasher
from kolm.errors import KolmError, Refused

_COPY_BYTES = 1024 * 1024  # hashing is the bottleneck; larger reads gain nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A private copy of a file, and what its bytes are."""

    path: Path
    digest: Digest
    size: int


@contextlib.contextmanager
def staged(
    source: Path, folder: Path, *, mode: int = 0o644, size: int | None = None
) -> Iterator[Staged]:
    """Copy `source` into `folder` under a temporary name and sync it; removed on leaving.

    Whoever wants to keep the copy links or renames it inside the block. Where `size` is known,
    nothing is copied beyond it: the source may be somebody else's and without an end.

    Raises:
        Unreadable: the source is missing or cannot be read.
        Refused: the source is not a regular file, or larger than `size`.
    """
    with _opened(source) as reader:
        writer, name = tempfile.mkstemp(prefix=".staged-", suffix=".part", dir=folder)
        path = Path(name)
        try:
            hasher = Hasher()
            with os.fdopen(writer, "wb") as stream:
                while piece := os.read(reader, _COPY_BYTES):
                    hasher.update(piece)
                    if size is not None and hasher.size_bytes > size:
                        raise Refused(
                            "E_BLOB_DIGEST",
                            "the registry hands out other bytes than its entry names",
                            where=str(source),
                            expected=f"{size} bytes",
                            found="more",
                        )
                    stream.write(piece)
                stream.flush()
                os.fchmod(stream.fileno(), mode)
                os.fsync(stream.fileno())
            yield Staged(path=path, digest=hasher.digest(), size=hasher.size_bytes)
        finally:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def errors_name(copy: Staged, shown: str) -> Iterator[None]:
    """Let errors about a copy name what it is a copy of: the temporary name says nothing."""
    try:
        yield
    except KolmError as error:
        named = error.where.replace(str(copy.path), shown).replace(copy.path.name, shown)
        error.where = named or shown
        raise


@contextlib.contextmanager
def _opened(source: Path) -> Iterator[int]:
    try:
        # Without blocking: opening a named pipe would wait for a writer that never comes.
        handle = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise system.error_of(error, where=source) from None
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Refused("E_FILE_KIND", "not a regular file", where=str(source))
        yield handle
    finally:
        os.close(handle)


def read_small(path: Path, *, max_bytes: int) -> bytes:
    """The bytes of a small regular file; links are not followed.

    Raises:
        FileNotFoundError: there is no such file.
        Unreadable: it cannot be read.
        Refused: it is not a regular file, or larger than `max_bytes`.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise system.error_of(error, where=path) from None
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise Refused("E_FILE_KIND", "not a regular file", where=str(path))
        if status.st_size > max_bytes:
            raise Refused(
                "E_FILE_TOO_LARGE",
                "the file is larger than its limit",
                where=str(path),
                expected=f"at most {max_bytes} bytes",
                found=f"{status.st_size} bytes",
            )
        with os.fdopen(handle, "rb", closefd=False) as stream:
            return stream.read(max_bytes)
    finally:
        os.close(handle)
