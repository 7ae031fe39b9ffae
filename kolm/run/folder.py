"""Run: typed readers and atomic writers of a run folder's files, and who holds the folder."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

from kolm import canonical, paths, schema, system
from kolm.digest import Digest
from kolm.errors import Refused
from kolm.format import names
from kolm.format.names import Name
from kolm.records import kinds
from kolm.run.names import HOLD, INPUTS
from kolm.schema import DocumentKind

if TYPE_CHECKING:
    from kolm.records.documents import Lock
    from kolm.run.documents import Inputs


D = TypeVar("D")
_PATIENCE_SECONDS = 10.0  # a killed parent's child ends at its next event, well within this


class Places(NamedTuple):
    """Where this machine keeps what a child reads besides its folder; relative paths start there.

    Attributes:
        base: folder of the base.
        base_stamp: its stamp when it was measured, where it was (`bundle.base_root.stamp`).
        captures: folder of the capture store.
        devices: kinds that may compute in place of the lock's, the best first; none in a compile.
        spread: the base is laid over all devices of that kind, for answers alone.
        adapter: folder of the adapter; the run folder itself without one.
        continued: folder of the training that this one goes on from.
        features: folder of kept vision features; none are kept without one.
        features_bytes: the most that they may take there.
        track: trackers that a training's values go to beside its own log.
        processes: that train together.
    """

    base: Path
    captures: Path
    adapter: Path | None = None
    continued: Path | None = None
    features: Path | None = None
    features_bytes: int = 0
    base_stamp: Digest | None = None
    devices: tuple[str, ...] = ()
    spread: bool = False
    track: tuple[str, ...] = ()
    processes: int = 1


def write_places(folder: Path, places: Places) -> None:
    """Write ``inputs.json``."""
    stated: Inputs = {
        "base": str(places.base),
        "base_stamp": places.base_stamp,
        "captures": str(places.captures),
        "adapter": _text(places.adapter),
        "continued": _text(places.continued),
        "features": _text(places.features),
        "features_bytes": places.features_bytes,
        "devices": list(places.devices),
        "spread": places.spread,
        "track": list(places.track),
        "processes": places.processes,
    }
    write_document(folder, INPUTS, stated)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def read_places(folder: Path) -> Places:
    """Read ``inputs.json``."""
    stated = read_document(folder, INPUTS)

    def place(path: str | None) -> Path | None:
        return None if path is None else folder / path

    return Places(
        base=folder / stated["base"],
        base_stamp=stated["base_stamp"],
        captures=folder / stated["captures"],
        adapter=place(stated["adapter"]),
        continued=place(stated["continued"]),
        features=place(stated["features"]),
        features_bytes=stated["features_bytes"],
        devices=tuple(stated["devices"]),
        spread=stated["spread"],
        track=tuple(stated["track"]),
        processes=stated["processes"],
    )


def read(folder: Path, name: str) -> bytes:
    """The bytes of a file of a run folder.

    Raises:
        KolmError: what the operating system says, such as ``E_FILE_MISSING``.
    """
    with system.naming(folder / name):
        return (folder / name).read_bytes()


def read_document(folder: Path, name: Name[D]) -> D:
    """A canonical document, taken to be what its name says: it is this machine's own."""
    document: D = canonical.loads_canonical(read(folder, name), where=name)
    return document


def read_lock(folder: Path) -> Lock:
    """The lock of a run folder, which fits its schema."""
    return schema.check(kinds.LOCK, read_document(folder, names.LOCK), where=names.LOCK)


def read_rows(folder: Path, name: Name[D], kind: DocumentKind[D] | None = None) -> list[D]:
    """The rows of a JSON Lines file, each checked against its schema when `kind` names one."""
    lines = canonical.read_lines(read(folder, name), where=name)
    if kind is None:
        return [cast("D", row) for _, _, row in lines]
    return [schema.check(kind, row, where=f"{name}:{number}") for number, _, row in lines]


def write(folder: Path, name: str, data: bytes) -> None:
    """Replace a file whole or not at all."""
    with system.naming(folder / name):
        paths.atomic_write(folder / name, data)


def write_document(folder: Path, name: Name[D], document: D) -> None:
    """Replace a canonical document whole or not at all."""
    write(folder, name, canonical.dumps(document))


def write_rows(folder: Path, name: Name[D], rows: Iterable[D]) -> None:
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
