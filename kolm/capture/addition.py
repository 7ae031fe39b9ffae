"""Capture: one addition to a store: staged piece by piece, committed whole or not at all."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from kolm import canonical, digest
from kolm.capture import database, documents, images, likeness
from kolm.digest import Digest
from kolm.errors import Refused, Unreadable
from kolm.records.capture import Capture, Image
from kolm.store.blobs import BlobStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What an addition changed: captures and images that were new."""

    captures: int
    images: int


_STAGED = "CREATE TEMP TABLE staged (id BLOB, document BLOB, place TEXT)"
_STAGED_ROWS = 256  # that are held before they are written


class Addition:
    """Images and captures on their way into a store: nothing is there before `commit`.

    Captures wait in a temporary table, which SQLite keeps in a file.
    """

    def __init__(
        self,
        blobs: BlobStore,
        known: dict[Digest, Image],
        connection: sqlite3.Connection,
        path: Path,
    ) -> None:
        self._connection = connection
        self._path = path
        self._blobs = blobs
        self._batch = blobs.batch()
        self._images = dict(known)
        self._new_images: dict[Digest, tuple[bytes, bytes]] = {}
        self._shown: set[Digest] = set()
        self._waiting: list[tuple[bytes, bytes, str | None]] = []

    def __enter__(self) -> Self:
        self._batch.__enter__()
        with database.translating(self._path):
            self._connection.execute(_STAGED)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._batch.__exit__(kind, error, trace)
        with database.translating(self._path):
            self._connection.execute("DROP TABLE temp.staged")

    def image(self, data: bytes, *, where: str = "image") -> Image:
        """Stage an image file; it is decoded only if the store has never seen it.

        Raises:
            Refused: it cannot be decoded within the limits.
        """
        name = digest.of_bytes(data)
        record = self._images.get(name)
        if record is None:
            picture, record = images.decode_with_facts(data, where=where)
            written = canonical.dumps(record._asdict())
            self._images[name] = record
            self._new_images[name] = (written, likeness.signature(picture))
        self._batch.add(data)
        return record

    def capture(
        self, capture: Capture, *, where: str = "capture", origin: str | None = None
    ) -> Digest:
        """Stage a capture whose images are staged or known; gives its id.

        Args:
            capture: the capture.
            where: what an error calls it.
            origin: the file and row that it comes from, if anybody knows.

        Raises:
            Refused: it breaks a rule, or says something else of an image than its file does.
        """
        sealed = documents.seal(capture, where=where)
        for image in capture.images:
            if self._images.get(image.file) != image:
                raise Refused(
                    "E_STORE_NO_IMAGE",
                    "the capture's image is not in the store, or is another one",
                    where=where,
                    expected=image.file,
                )
            self._shown.add(image.file)
        raw = digest.raw_of(sealed.id)
        self._waiting.append((raw, sealed.data, origin))
        if len(self._waiting) >= _STAGED_ROWS:
            self._stage()
        return sealed.id

    def _stage(self) -> None:
        with database.transaction(self._connection, self._path, write=False):
            self._connection.executemany("INSERT INTO staged VALUES (?, ?, ?)", self._waiting)
        self._waiting.clear()

    def commit(self) -> Added:
        """Make the images that captures show durable, then the captures, in one transaction."""
        self._batch.keep_only(self._shown)
        self._batch.commit()
        self._stage()
        execute = self._connection.execute
        with database.transaction(self._connection, self._path, write=True):
            self._demand_files()
            before = self._connection.total_changes
            # By ascending key: the tables are trees ordered by it, and grow at their end.
            rows = [(digest.raw_of(file), *facts) for file, facts in self._shown_images()]
            self._connection.executemany("INSERT OR IGNORE INTO images VALUES (?, ?, ?)", rows)
            new_images = self._connection.total_changes - before
            before = self._connection.total_changes
            execute(
                "INSERT OR IGNORE INTO captures SELECT id, document FROM staged ORDER BY id, rowid"
            )
            new_captures = self._connection.total_changes - before
            execute(
                "INSERT OR IGNORE INTO origins SELECT id, place FROM staged "
                "WHERE place IS NOT NULL ORDER BY id, rowid"
            )
        return Added(captures=new_captures, images=new_images)

    def _demand_files(self) -> None:
        """Nobody may have removed a shown image since it was found in the store."""
        listed = "SELECT count(*) FROM images WHERE file = ?"
        for file in sorted(self._shown):
            new = file in self._new_images
            row = new or self._connection.execute(listed, (digest.raw_of(file),)).fetchone()[0]
            if not row or not self._blobs.has(file):
                raise Unreadable(
                    "E_STORE_CHANGED",
                    "captures were removed from the store while these were added",
                    where=str(self._path),
                    hint="run the command again",
                )

    def _shown_images(self) -> list[tuple[Digest, tuple[bytes, bytes]]]:
        new = self._new_images.items()
        return sorted((file, facts) for file, facts in new if file in self._shown)
