"""Run: typed readers and atomic writers of a run folder's files, and who holds the folder."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kolm import canonical, paths, schema, system
from kolm.errors import Refused
from kolm.format import names
from kolm.records import kinds
from kolm.run.names import HOLD, INPUTS
from kolm.schema import Kind

if TYPE_CHECKING:
    from kolm.records.documents import Lock


_PATIENCE_SECONDS = 10.0  # a killed parent's child ends at its next event, well within this


class Places(NamedTuple):
    """Where this machine keeps what a child reads besides its folder; relative paths start there.

    Attributes:
        base: folder of the base.
        captures: folder of the capture store.
        adapter: folder of the adapter; the run folder itself without one.
        continued: folder of the training that this one goes on from.
        features: folder of kept vision features; none are kept without one.
        features_bytes: the most that they may take there.
    """

    base: Path
    captures: Path
    adapter: Path | None = None
    continued: Path | None = None
    features: Path | None = None
    features_bytes: int = 0


def write_places(folder: Path, places: Places) -> None:
    """Write ``inputs.json``."""
    stated = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in places._asdict().items()
    }
    write_document(folder, INPUTS, stated)


def read_places(folder: Path) -> Places:
    """Read ``inputs.json``."""
    stated = canonical.loads(read(folder, INPUTS), where=INPUTS)

    def place(name: str) -> Path | None:
        return None if stated[name] is None else folder / stated[name]

    return Places(
        base=folder / stated["base"],
        captures=folder / stated["captures"],
        adapter=place("adapter"),
        continued=place("continued"),
        features=place("features"),
        features_bytes=stated["features_bytes"],
    )


def read(folder: Path, name: str) -> bytes:
    """The bytes of a file of a run folder.

    Raises:
        KolmError: what the operating system says, such as ``E_FILE_MISSING``.
    """
    with system.naming(folder / name):
        return (folder / name).read_bytes()


def read_document(folder: Path, name: str) -> dict[str, Any]:
    """A canonical document of which no schema is demanded."""
    document: dict[str, Any] = canonical.loads_canonical(read(folder, name), where=name)
    return document


def read_lock(folder: Path) -> Lock:
    """The lock of a run folder, which fits its schema."""
    return schema.check(kinds.LOCK, read_document(folder, names.LOCK), where=names.LOCK)


def read_rows(folder: Path, name: str, kind: Kind[object] | None = None) -> list[dict[str, Any]]:
    """The rows of a JSON Lines file, each checked against its schema when `kind` names one."""
    rows = []
    for number, _, row in canonical.read_lines(read(folder, name), where=name):
        if kind is not None:
            schema.check(kind, row, where=f"{name}:{number}")
        rows.append(row)
    return rows


def write(folder: Path, name: str, data: bytes) -> None:
    """Replace a file whole or not at all."""
    with system.naming(folder / name):
        paths.atomic_write(folder / name, data)


def write_document(folder: Path, name: str, document: Mapping[str, Any]) -> None:
    """Replace a canonical document whole or not at all."""
    write(folder, name, canonical.dumps(dict(document)))


def write_rows(folder: Path, name: str, rows: Iterable[dict[str, Any]]) -> None:
    """Replace a JSON Lines file whole or not at all."""
    write(folder, name, canonical.dump_lines(rows))


@contextlib.contextmanager
def held(folder: Path, *, patience_seconds: float = _PATIENCE_SECONDS) -> Iterator[int]:
    """Hold a run folder for one process at a time; yields the lock's file descriptor.

    Children inherit the descriptor, so the folder stays held until the last of them has ended,
    even if this process is killed.

    Raises:
        Refused: ``E_RUN_BUSY``, another process holds the folder.
    """
    with system.naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / HOLD).open("ab")
    with stream:
        deadline = time.monotonic() + patience_seconds
        while not _taken(stream.fileno()):
            if time.monotonic() > deadline:
                raise Refused(
                    "E_RUN_BUSY",
                    "another compile works in this folder",
                    where=str(folder),
                    hint="wait for it to end, or stop it",
                )
            time.sleep(0.1)
        yield stream.fileno()


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
