"""Files on their way into and out of a registry: read within limits, written whole."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kolm import system
from kolm.bundle.held import Held
from kolm.bundle.streams import write_out
from kolm.errors import KolmError, Refused


@contextlib.contextmanager
def written(data: bytes | memoryview, folder: Path, *, mode: int = 0o644) -> Iterator[Path]:
    """Write bytes into `folder` under a temporary name and sync them; removed on leaving.

    Whoever wants to keep the file links or renames it inside the block.
    """
    handle, name = tempfile.mkstemp(prefix=".staged-", suffix=".part", dir=folder)
    path = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            write_out(stream, memoryview(data))
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def errors_name(held: Held, shown: str) -> Iterator[None]:
    """Let errors about a file say where it is from: a kept file's own name is a digest."""
    try:
        yield
    except KolmError as error:
        named = error.where.replace(str(held.path), held.path.name)
        named = named.replace(held.path.name, shown)
        error.where = named or shown
        raise


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
