"""Capture: removing captures from a store, with the images that nobody shows any more.

First the records go, in one transaction; then, under the write lock, the files that no image
record names. A kill between the two leaves such files behind, which do no harm; an addition that
counted on one of them notices and asks to be run again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kolm import canonical, digest
from kolm.capture import database
from kolm.digest import Digest
from kolm.store.blobs import BlobStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """How many captures and image files a removal took out of a store."""

    captures: int
    images: int


class _Known(Protocol):
    @property
    def id(self) -> Digest: ...


def remove(
    connection: sqlite3.Connection,
    path: Path,
    blobs: BlobStore,
    ids: Collection[Digest],
    read: Callable[[Digest], _Known],
) -> Removed:
    """Remove captures by their ids.

    Args:
        connection: open to write.
        path: the database.
        blobs: where the files of images are.
        ids: whole ids.
        read: reads one capture, and raises where it is not in the store.
    """
    with database.transaction(connection, path, write=True):
        raws = [(digest.raw_of(read(capture).id),) for capture in sorted(set(ids))]
        connection.executemany("DELETE FROM captures WHERE id = ?", raws)
        connection.executemany("DELETE FROM origins WHERE capture = ?", raws)
        shown = _shown(connection, path)
        listed = [raw for (raw,) in connection.execute("SELECT file FROM images")]
        unseen = [raw for raw in listed if digest.of_hex(raw.hex()) not in shown]
        connection.executemany("DELETE FROM images WHERE file = ?", [(raw,) for raw in unseen])
    _unlink(connection, path, blobs, unseen)
    return Removed(captures=len(raws), images=len(unseen))


def _shown(connection: sqlite3.Connection, path: Path) -> set[Digest]:
    rows = connection.execute("SELECT document FROM captures")
    documents = (canonical.loads_canonical(data, where=str(path)) for (data,) in rows)
    return {image["file"] for document in documents for image in document["images"]}


def _unlink(
    connection: sqlite3.Connection, path: Path, blobs: BlobStore, unseen: list[bytes]
) -> None:
    """Unlink the files that no image record names, while nobody can add one."""
    with database.transaction(connection, path, write=True):
        for raw in unseen:
            again = connection.execute("SELECT count(*) FROM images WHERE file = ?", (raw,))
            if not again.fetchone()[0]:
                blobs.remove(digest.of_hex(raw.hex()))
