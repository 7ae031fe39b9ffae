"""Local files that decide who is believed: nobody else may have a hand in them.

Whoever can write the trust file, a key, or the folder that either lies in, decides what kolm
believes and signs, without any signature. So both are looked at on the very file that is read, and
where others may write, kolm stops and says how to mend it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from kolm import system
from kolm.errors import Denied, Refused


def read(path: Path, *, max_bytes: int, named: bool = False) -> bytes:
    """The bytes of a small file that only its owner can have changed.

    Links are followed; what is held to the rules is the file that they lead to, and its folder.

    Args:
        path: the file.
        max_bytes: a larger one is none of ours.
        named: the user named this very file: it may be somebody else's, and a group's to change.

    Raises:
        FileNotFoundError: there is none.
        Denied: ``E_OWN_FILE``: others may change it or replace it.
        Refused: ``E_FILE_KIND`` for a pipe, a device or a folder, ``E_FILE_TOO_LARGE``.
        KolmError: what the operating system says.
    """
    try:
        # O_NONBLOCK: opening a pipe must not wait for its writer.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise system.error_of(error, where=path) from None
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise Refused("E_FILE_KIND", "not a regular file", where=str(path))
        _demand_unwritable(path, facts, named=named)
        demand_folder(Path(os.path.realpath(path)).parent, named=named)
        with os.fdopen(handle, "rb", closefd=False) as stream, system.naming(path):
            data = stream.read(max_bytes + 1)
    finally:
        os.close(handle)
    if len(data) > max_bytes:
        raise Refused(
            "E_FILE_TOO_LARGE",
            "the file is larger than its limit",
            where=str(path),
            expected=f"at most {max_bytes} bytes",
        )
    return data


def demand_folder(folder: Path, *, named: bool = False) -> None:
    """Demand that nobody else can replace files in a folder; one that is not there is fine.

    Raises:
        Denied: ``E_OWN_FILE``.
    """
    try:
        facts = folder.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise system.error_of(error, where=folder) from None
    if not facts.st_mode & stat.S_ISVTX:  # in a sticky folder only owners replace their files
        _demand_unwritable(folder, facts, named=named)


def _demand_unwritable(path: Path, facts: os.stat_result, *, named: bool) -> None:
    mode = stat.S_IMODE(facts.st_mode)
    forbidden = stat.S_IWOTH if named else stat.S_IWOTH | stat.S_IWGRP
    us = os.getuid()
    strange = not named and us != 0 and facts.st_uid not in (0, us)
    if not mode & forbidden and not strange:
        return
    raise Denied(
        "E_OWN_FILE",
        "other users can change this, and it decides whose keys are trusted",
        where=str(path),
        expected="owned by you, and writable by nobody else",
        found=f"mode {mode:04o}, owner {facts.st_uid}",
        hint=f"check that it is as you left it, then: chmod go-w {path}",
    )
