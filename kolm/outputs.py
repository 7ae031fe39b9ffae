"""The floor: the one way to write a file that a user names; nothing is overwritten unasked.

A file is made whole beside its target and only then put there. What is there decides how:

- a device, a pipe, or a descriptor such as ``/dev/stdout``: the bytes are written into it;
- a symbolic link: it stays, and what it points to is written;
- a file with the very same bytes: it stays as it is;
- any other file: it stays, and the user is asked for ``--force``.

kolm's own files, which nobody names, are written by `kolm.paths`.
"""

from __future__ import annotations

import contextlib
import errno
import filecmp
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from kolm import paths, system
from kolm.errors import Usage

# What a file system without hard links says to one.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_DESCRIPTORS = re.compile(r"/proc/(?:self|([0-9]+))/fd\Z", re.ASCII)
_STDOUT = 1


@contextlib.contextmanager
def writing(target: Path, *, force: bool = False) -> Iterator[IO[bytes]]:
    """Write a file that a user named, whole or not at all.

    Args:
        target: what the user named.
        force: replace another file, whose mode stays.

    Raises:
        Usage: ``E_TARGET_EXISTS``.
        KolmError: what the operating system says.
    """
    with beside(target) as folder:
        made = folder / target.name
        with made.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        place(made, target, force=force)


def write(target: Path, data: bytes | memoryview, *, force: bool = False) -> None:
    """Write these bytes as `writing` does."""
    with writing(target, force=force) as stream:
        stream.write(data)


@contextlib.contextmanager
def beside(target: Path) -> Iterator[Path]:
    """An empty folder to make a file in before `place`; it is gone afterwards.

    It lies on the file system of the target, or in the folder for temporary files where the target
    is a device or a pipe. Errors of the operating system name the target.
    """
    with contextlib.ExitStack() as stack:
        with system.naming(target):
            if is_stream(target):
                folder = stack.enter_context(paths.scratch_folder("kolm-output-"))
            else:
                parent = _followed(target).parent
                _make_folder(parent)
                made = tempfile.TemporaryDirectory(
                    prefix=f".{target.name[:100]}.", dir=parent, ignore_cleanup_errors=True
                )
                folder = Path(stack.enter_context(made))
        try:
            yield folder
        except BrokenPipeError:
            raise
        except OSError as error:
            named = str(error.filename or "")
            own = not named or named.startswith(str(folder))
            raise system.error_of(error, where=target if own else named) from None


def place(made: Path, target: Path, *, force: bool = False) -> None:
    """Put a finished file where a user wants it; `made` may be gone afterwards.

    Args:
        made: a file that was made in the folder of `beside`.
        target: what the user named.
        force: replace another file.

    Raises:
        Usage: ``E_TARGET_EXISTS``: another file is there, and `force` is off.
        KolmError: what the operating system says.
    """
    with system.naming(target):
        if is_stream(target):
            with made.open("rb") as source, _opened(target) as stream:
                shutil.copyfileobj(source, stream)
            return
        path = _followed(target)
        if not force and not _link(made, path) and not filecmp.cmp(made, path, shallow=False):
            raise exists(target)
        if force:
            with contextlib.suppress(FileNotFoundError):
                made.chmod(stat.S_IMODE(path.stat().st_mode))
            made.replace(path)
        paths.sync_folder(path.parent)


def demand_free(target: Path, *, force: bool = False) -> None:
    """Refuse a target that `place` would refuse, before the work begins.

    Raises:
        Usage: ``E_TARGET_EXISTS``: a file is there, and `force` is off.
        KolmError: what the operating system says to a file in that folder.
    """
    with system.naming(target):
        if is_stream(target):
            return
        if target.exists() and not force:
            raise exists(target)
        demand_writable(next(place for place in _followed(target).parents if place.exists()))


def demand_writable(folder: Path) -> None:
    """Refuse a folder in which no file can be made, by making one without a name.

    The bits of its mode do not tell: the superuser may write everywhere by them, and not in /proc.

    Raises:
        KolmError: what the operating system says.
    """
    with system.naming(folder):
        try:
            tempfile.TemporaryFile(dir=folder).close()
        except FileNotFoundError:  # of a new file in a folder that is there
            raise OSError(errno.EROFS, os.strerror(errno.EROFS)) from None


def exists(target: Path) -> Usage:
    """The error of a target that is not overwritten."""
    return Usage(
        "E_TARGET_EXISTS",
        "another file has this name, and it is not overwritten",
        where=str(target),
        hint="name another file (-o, where the command has it), or pass --force to replace it",
    )


def is_stream(target: Path) -> bool:
    """Whether a path names a device, a pipe or an open descriptor: bytes go into it as they come.

    Raises:
        OSError: the path cannot be looked at.
    """
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    return not stat.S_ISREG(mode) or _descriptor(target) is not None


def is_stdout(target: Path) -> bool:
    """Whether a path names what this process has as its standard output."""
    try:
        return is_stream(target) and os.path.samestat(target.stat(), os.fstat(_STDOUT))
    except OSError:
        return False


def _followed(target: Path) -> Path:
    """The file that a path means, links followed; the last may lead to nothing yet."""
    return Path(os.path.realpath(target))


def _descriptor(target: Path) -> int | None:
    """The descriptor of this process that ``/dev/stdout``, ``/dev/fd/3`` and the like name."""
    step = target.absolute()
    while step.is_symlink():
        folder = os.path.realpath(step.parent)
        match = _DESCRIPTORS.match(folder)
        if match and match.group(1) in (None, str(os.getpid())) and step.name.isdecimal():
            return int(step.name)
        step = Path(folder) / step.readlink()
    return None


def _opened(target: Path) -> IO[bytes]:
    number = _descriptor(target)
    handle = os.dup(number) if number is not None else os.open(target, os.O_WRONLY | os.O_NOCTTY)
    return os.fdopen(handle, "wb")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # a file is where a folder should be
        raise NotADirectoryError(
            errno.ENOTDIR, os.strerror(errno.ENOTDIR), error.filename
        ) from None


def _link(made: Path, path: Path) -> bool:
    """Give a finished file its name unless the name is taken; False when it is."""
    try:
        os.link(made, path)  # unlike a rename, a link never replaces what came there meanwhile
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            return False
        made.replace(path)
    return True
