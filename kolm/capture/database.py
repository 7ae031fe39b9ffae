"""Capture: the SQLite file of a store: how it is opened, its tables, and its errors' families.

WAL mode lets readers go on while one writer writes; `synchronous = FULL` makes a commit survive a
loss of power. A writer takes the write lock at the start of its transaction, so that two writers
wait for each other instead of failing half-way.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kolm import canonical, paths, system
from kolm.errors import KolmError, Refused, Unreadable

VERSION = 2
APPLICATION_ID = 0x6B6F6C6D  # "kolm"
BUSY_SECONDS = 60.0  # the longest transaction, an import of a million rows, stays well below
_WAL_PAUSE_SECONDS = 0.05
_INDEX_BYTES = 32 * 1024  # the file beside the database that SQLite maps; it grows by this much

# Every store holds this text and is compared with it: a change of it is a new version.
_TABLES = (
    """CREATE TABLE images (
        file BLOB NOT NULL PRIMARY KEY,  -- 32 bytes: digest of the original file
        record BLOB NOT NULL,            -- the image's part of a capture, canonical JSON
        signature BLOB NOT NULL          -- what near-duplicates are found by
    ) WITHOUT ROWID""",
    """CREATE TABLE captures (
        id BLOB NOT NULL PRIMARY KEY,    -- 32 bytes: digest of `document`
        document BLOB NOT NULL           -- canonical JSON
    ) WITHOUT ROWID""",
)
# Beside the captures and never part of one. Version 2.
_ORIGINS = """CREATE TABLE origins (
        capture BLOB NOT NULL PRIMARY KEY,  -- the capture's id
        place TEXT NOT NULL                 -- the file and row that it was first taken from
    ) WITHOUT ROWID"""
_TABLES_OF = {1: {*_TABLES}, VERSION: {*_TABLES, _ORIGINS}}


# For stores that somebody else made. Reading an honest schema takes some hundred steps.
_CHECK_STEPS = 1_000_000
_MAX_VALUE_BYTES = 2 * canonical.MAX_DOCUMENT_BYTES


def connect(path: Path, *, create: bool) -> sqlite3.Connection:
    """Open the database of a store, making it when asked.

    Raises:
        Unreadable: missing, not a store, of a newer version, or busy for too long.
    """
    if not create and not path.is_file():
        raise _missing(path)
    with translating(path):
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            _enter_wal(connection)
            connection.execute("PRAGMA synchronous = FULL")
            _check_version(connection, path, create=create)
        except BaseException:
            connection.close()
            raise
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open the database of a store that may be anybody's, and only to read it.

    The file is never written, and no file appears beside it: with no log beside it nobody has it
    open, so that it can be read without locks; a log that was copied without its index is read in a
    copy.

    Raises:
        Unreadable: missing, not a store, or of a newer version.
    """
    if not path.is_file():
        raise _missing(path)
    log, index = (path.with_name(f"{path.name}{ending}") for ending in ("-wal", "-shm"))
    with translating(path):
        if not log.is_file():
            return _open_to_read(path, "immutable=1", named=path)
        if index.is_file():
            return _open_to_read(path, "mode=ro", named=path)
        with paths.scratch_folder("kolm-store-") as folder:
            with system.naming():
                for part in (path, log):
                    shutil.copyfile(part, folder / part.name)
            # Once read, it stays readable without its names.
            return _open_to_read(folder / path.name, "mode=ro", named=path)


def _open_to_read(path: Path, mode: str, *, named: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?{mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
        connection.set_progress_handler(lambda: True, _CHECK_STEPS)
        if _version(connection) == 0:
            raise _missing(named)
        _check_store(connection, named)
        connection.set_progress_handler(None, 0)
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, path: Path, *, write: bool) -> Iterator[None]:
    """All or nothing; a reader sees one state of the store throughout."""
    with translating(path):
        connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        try:
            yield
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


class Stamp(NamedTuple):
    """What tells that a database that is read without locks was written to meanwhile."""

    device: int
    inode: int
    size: int
    modified_ns: int


def stamp_without_locks(path: Path) -> Stamp | None:
    """The state of a store's file when it will be read without locks (see `connect_to_read`)."""
    return None if path.with_name(f"{path.name}-wal").is_file() else _stamp(path)


def _stamp(path: Path) -> Stamp | None:
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return Stamp(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)


@contextlib.contextmanager
def reading(path: Path, before: Stamp | None) -> Iterator[None]:
    """Read with typed errors; what was read from a file that has changed since is refused.

    Args:
        path: the database.
        before: its state when it was opened, where it is read without locks.

    Raises:
        Unreadable: ``E_STORE_CHANGED``.
    """

    def demand_unchanged() -> None:
        if before is not None and _stamp(path) != before:
            raise Unreadable(
                "E_STORE_CHANGED",
                "the store was written to while it was read",
                where=str(path),
                hint="run the command again",
            )

    with translating(path):
        try:
            yield
        except (sqlite3.Error, KolmError):
            demand_unchanged()
            raise
        demand_unchanged()


@contextlib.contextmanager
def translating(path: Path) -> Iterator[None]:
    """Give SQLite's errors a family."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translated(error, str(path)) from None


def _translated(error: sqlite3.Error, where: str) -> KolmError:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        message = f"another process has held the store for {BUSY_SECONDS:.0f} s"
        return Unreadable("E_STORE_BUSY", message, where=where, hint="try again when it is done")
    number = _system_number(name, where)
    if number:
        return system.error_of(OSError(number, str(error)), where=where)
    if name.startswith("SQLITE_NOTADB"):
        return Unreadable("E_STORE_NOT_A_STORE", "not a capture store", where=where)
    if name.startswith("SQLITE_CORRUPT"):
        message = f"the store's database is damaged: {error}"
        return Refused("E_STORE_DAMAGED", message, where=where, hint="restore it from a copy")
    return Unreadable("E_STORE_IO", f"the store's database failed: {error}", where=where)


def _system_number(name: str, where: str) -> int:
    """What the operating system said, which SQLite does not hand on; 0 when nobody knows."""
    if name.startswith("SQLITE_FULL"):
        return errno.ENOSPC
    if name.startswith("SQLITE_NOMEM"):
        return errno.ENOMEM
    if not name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN", "SQLITE_IOERR")):
        return 0
    try:
        disk = os.statvfs(Path(where).parent)
        if disk.f_flag & os.ST_RDONLY:
            return errno.EROFS
        if disk.f_blocks and disk.f_bavail * disk.f_frsize < _INDEX_BYTES:
            return errno.ENOSPC
        with Path(where).open("r+b"):
            return 0 if name.startswith(("SQLITE_CANTOPEN", "SQLITE_IOERR")) else errno.EACCES
    except OSError as error:
        return error.errno or 0


def _enter_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL. SQLite does not wait for a lock here, so two creators need a second try."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
            if mode != "wal":
                connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            busy = str(error.sqlite_errorname).startswith("SQLITE_BUSY")
            if not busy or time.monotonic() > until:
                raise
            time.sleep(_WAL_PAUSE_SECONDS)


def lock_alone(connection: sqlite3.Connection) -> bool:
    """Keep others out for as long as the connection lasts, if nobody else has the store open.

    Leaving WAL mode needs that. Who opens the store now waits; SQLite refuses to switch to WAL in a
    file that is gone by then.
    """
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        mode = connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0]
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        return False
    return str(mode) == "delete"


def _check_version(connection: sqlite3.Connection, path: Path, *, create: bool) -> None:
    if _version(connection) == 0:
        if not create:
            raise _missing(path)
        with transaction(connection, path, write=True):
            if _version(connection) == 0:  # nobody else has made it while we waited for the lock
                if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    raise Unreadable("E_STORE_NOT_A_STORE", "not a capture store", where=str(path))
                for table in (*_TABLES, _ORIGINS):
                    connection.execute(table)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
    _check_store(connection, path)
    if _version(connection) < VERSION:
        with transaction(connection, path, write=True):
            if _version(connection) < VERSION:
                connection.execute(_ORIGINS)
                connection.execute(f"PRAGMA user_version = {VERSION}")


def has_origins(connection: sqlite3.Connection) -> bool:
    """Whether the store says where captures came from; one of version 1 that is read does not."""
    return _version(connection) >= VERSION


def _check_store(connection: sqlite3.Connection, path: Path) -> None:
    """Demand the mark and the version of a store, and its tables and nothing else.

    A view or a trigger would be a program of whoever made the file.
    """
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise Unreadable("E_STORE_NOT_A_STORE", "not a capture store", where=str(path))
    if _version(connection) > VERSION:
        raise Unreadable(
            "E_STORE_VERSION",
            "the store was written by a newer kolm",
            where=str(path),
            expected=f"version {VERSION}",
            found=f"version {_version(connection)}",
            hint="upgrade kolm",
        )
    tables = _TABLES_OF.get(_version(connection), set())
    stored = connection.execute("SELECT sql FROM sqlite_master").fetchmany(len(tables) + 1)
    if len(stored) != len(tables) or {sql for (sql,) in stored} != tables:
        raise Unreadable(
            "E_STORE_NOT_A_STORE",
            "the database's tables are not those of a capture store",
            where=str(path),
        )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _missing(path: Path) -> Unreadable:
    return Unreadable(
        "E_STORE_MISSING",
        "there is no capture store here",
        where=str(path.parent),
        hint="kolm capture import FILE --store DIR makes one",
    )
