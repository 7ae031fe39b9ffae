"""The floor: where kolm keeps its own files, and how a file is replaced whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from kolm import settings, system
from kolm.errors import Lacking


def config_folder() -> Path:
    """The folder of keys and trust: KOLM_HOME, or the platform's config folder."""
    home = settings.home()
    if home is not None:
        return home
    import platformdirs

    return Path(platformdirs.user_config_dir("kolm", appauthor=False))


def cache_folder() -> Path:
    """The folder of what can be made again: KOLM_HOME/cache, or the platform's cache folder."""
    home = settings.home()
    if home is not None:
        return home / "cache"
    import platformdirs

    return Path(platformdirs.user_cache_dir("kolm", appauthor=False))


@contextlib.contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """An empty folder for the work of one command; it is gone afterwards.

    Raises:
        Lacking: ``E_NO_SCRATCH``: no folder for temporary files can be written.
    """
    import tempfile

    try:
        folder = tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
    except OSError as error:
        if not isinstance(error, FileNotFoundError) or error.filename is not None:
            raise system.error_of(error) from None
        raise Lacking(  # the standard library tried every place and found that none can be written
            "E_NO_SCRATCH",
            "no folder for temporary files can be written",
            expected="room in /tmp, in /var/tmp, or in the folder that TMPDIR names",
            hint="make room, or set TMPDIR to a folder with room",
        ) from None
    with folder as name:
        yield Path(name)


@contextlib.contextmanager
def replacing(path: Path, *, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """Write a file so that a kill at any moment leaves the old one or the new one, never a part.

    Yields a stream to a temporary file in the same folder; on leaving without an error it is
    synced and renamed over `path`, and the folder is synced. On an error it is removed.

    Raises:
        KolmError: what the operating system says.
    """
    import tempfile  # reading, which is most of what kolm does, needs none of it

    with system.naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                os.fchmod(stream.fileno(), mode)
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def atomic_write(path: Path, data: bytes | memoryview, *, mode: int = 0o644) -> None:
    """Replace the content of `path` atomically and durably."""
    with replacing(path, mode=mode) as stream:
        stream.write(data)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file lock, which the system gives back even when this process is killed."""
    import fcntl

    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with system.naming(path):
        handle = os.open(path, flags, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
