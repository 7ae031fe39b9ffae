"""The floor: what the operating system refuses, as our own errors: one table for every place.

Whoever catches an `OSError` asks this table, so that a full disk, a missing permission and a
read-only file system have the same code, hint and exit code everywhere, in children too. A place
that knows what is missing (a spec, a key, a store) may say so in its own words; all else is here.
"""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kolm.errors import Denied, KolmError, Lacking, Unreadable, Usage

_SHOWN_PATH_CHARACTERS = 400


class _Meaning(NamedTuple):
    """What an error number means to the person before the screen."""

    family: type[KolmError]
    code: str
    message: str
    hint: str


_MISSING = _Meaning(
    Unreadable, "E_FILE_MISSING", "there is no such file or folder", "check the path"
)
_NOT_PERMITTED = _Meaning(
    Denied,
    "E_PERMISSION",
    "the operating system does not permit this",
    "check owner and mode of the file and of its folder: ls -ld",
)
_FULL = _Meaning(
    Lacking,
    "E_DISK_FULL",
    "no room is left on the disk",
    "make room and run the command again; incomplete files are never used",
)
_TOO_MANY_OPEN = _Meaning(
    Lacking,
    "E_OPEN_FILES",
    "too many files are open",
    "raise the limit: ulimit -n 4096, then run the command again",
)
_BROKEN_DEVICE = _Meaning(
    Unreadable,
    "E_DEVICE",
    "the disk or device failed",
    "check the disk, the cable or the network share, then run the command again",
)
_BUSY = _Meaning(
    Unreadable, "E_FILE_BUSY", "another program holds the file", "close it, then try again"
)
_TAKEN = _Meaning(
    Usage, "E_TARGET_EXISTS", "there is something else of this name", "choose another name"
)
_MEMORY = _Meaning(
    Lacking,
    "E_MEMORY",
    "not enough memory",
    "close other programs, or make batch_size smaller",
)
_OTHER = _Meaning(Unreadable, "E_FILE", "a file could not be used", "check the path that is named")

_MEANINGS: dict[int, _Meaning] = {
    errno.ENOENT: _MISSING,
    errno.ENOTDIR: _Meaning(
        Unreadable, "E_NOT_A_FOLDER", "a file is where a folder should be", "check the path"
    ),
    errno.EACCES: _NOT_PERMITTED,
    errno.EPERM: _NOT_PERMITTED,
    errno.EROFS: _Meaning(
        Denied,
        "E_READ_ONLY",
        "the file system is read-only",
        "choose a place that can be written",
    ),
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _Meaning(
        Lacking,
        "E_FILE_SIZE",
        "the file would be larger than the system allows",
        "raise the limit (ulimit -f), or use another file system",
    ),
    errno.EMFILE: _TOO_MANY_OPEN,
    errno.ENFILE: _TOO_MANY_OPEN,
    errno.ENOMEM: _MEMORY,
    errno.EAGAIN: _Meaning(
        Lacking,
        "E_PROCESSES",
        "the system cannot start another process",
        "close other programs, or raise the limit: ulimit -u",
    ),
    errno.EISDIR: _Meaning(
        Unreadable, "E_IS_A_FOLDER", "a folder is where a file should be", "name a file"
    ),
    errno.ELOOP: _Meaning(
        Unreadable,
        "E_LINK",
        "a symbolic link where none is followed, or links that form a loop",
        "name the file itself",
    ),
    errno.ENAMETOOLONG: _Meaning(
        Usage, "E_NAME_TOO_LONG", "the name is too long for the file system", "choose a shorter one"
    ),
    errno.EIO: _BROKEN_DEVICE,
    errno.ENXIO: _BROKEN_DEVICE,
    errno.ENODEV: _BROKEN_DEVICE,
    errno.ESTALE: _BROKEN_DEVICE,
    errno.ETIMEDOUT: _BROKEN_DEVICE,
    errno.EBUSY: _BUSY,
    errno.ETXTBSY: _BUSY,
    errno.EEXIST: _TAKEN,
    errno.ENOTEMPTY: _TAKEN,
}


def error_of(error: OSError | MemoryError, *, where: str | Path = "") -> KolmError:
    """The error of kolm that an error of the operating system is.

    Args:
        error: what was raised.
        where: the path as the user knows it; without it the one that the system names.
    """
    if isinstance(error, MemoryError):
        return _of(_MEMORY, where=str(where), found="")
    place = str(where or error.filename or "")[:_SHOWN_PATH_CHARACTERS]
    number = error.errno or 0
    name = errno.errorcode.get(number, "")
    said = error.strerror or str(error)
    return _of(
        _MEANINGS.get(number, _OTHER), where=place, found=f"{said} ({name})" if name else said
    )


def _of(meaning: _Meaning, *, where: str, found: str) -> KolmError:
    return meaning.family(
        meaning.code, meaning.message, where=where, found=found, hint=meaning.hint
    )


def demand_there(path: Path) -> None:
    """Demand that an input which a person named is there: what is missing could not be looked at.

    Raises:
        Unreadable, Denied: it is not, or it is hidden.
    """
    with naming(path):
        path.stat()


@contextlib.contextmanager
def naming(where: str | Path = "") -> Iterator[None]:
    """Raise what the operating system refuses as an error of kolm.

    Args:
        where: the path as the user knows it; without it the one that the system names.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # whoever read our output has gone: no fault of a file
    except OSError as error:
        raise error_of(error, where=where) from None
