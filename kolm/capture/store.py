"""Capture: the store of captures: image files as blobs, captures and image facts in SQLite.

Folder: ``captures.db`` (with SQLite's -wal and -shm beside it) and ``blobs/``. A capture is
committed only after the files of its images are durable, so a kill at any moment leaves at most
files that no capture mentions, and adding the same rows again completes the work.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from kolm import canonical, digest
from kolm.capture import database, documents, file_limits, limits, naming, removal
from kolm.capture.addition import Addition
from kolm.capture.removal import Removed
from kolm.digest import Digest
from kolm.errors import KolmError, Refused, Unreadable, Usage
from kolm.records.capture import Capture, Image
from kolm.store.blobs import BlobStore, translating

DATABASE = "captures.db"
BLOBS = "blobs"
SNAPSHOTS = "snapshots"
MAX_NAME_CHARACTERS = 300  # of a capture's file and row, as it is shown
SHORTEST_ID = 6  # digits: enough to tell some thousand captures apart
RAW_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCapture:
    """A capture in the store: its id, its canonical bytes and its value."""

    id: Digest
    data: bytes
    capture: Capture


class CaptureStore:
    """Captures in a folder; a context manager. Open one with `open`."""

    def __init__(
        self,
        folder: Path,
        connection: sqlite3.Connection,
        *,
        before: database.Stamp | None = None,
    ) -> None:
        self.folder = folder
        self.blobs = BlobStore(folder / BLOBS)
        self._path = folder / DATABASE
        self._connection = connection
        self._before = before

    @classmethod
    def open(cls, folder: Path, *, create: bool = False) -> CaptureStore:
        """Open the store in `folder`, making it when asked.

        Raises:
            Unreadable: there is none, it is no store, or a newer kolm wrote it.
            Denied: the folder may not be written.
        """
        _demand_no_file(folder)
        if create:
            with translating(str(folder)):
                folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, database.connect(folder / DATABASE, create=create))

    @classmethod
    def open_to_read(cls, folder: Path) -> CaptureStore:
        """Open a store that may be somebody else's; its folder stays as it is.

        Raises:
            Unreadable: there is none, it is no store, or a newer kolm wrote it.
        """
        _demand_no_file(folder)
        path = folder / DATABASE
        before = database.stamp_without_locks(path)
        return cls(folder, database.connect_to_read(path), before=before)

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, KolmError):
            with contextlib.suppress(KolmError):  # the error in hand is the one to tell
                naming.name_captures(error, self.names)
        self.close()

    def discard_if_empty(self) -> None:
        """Remove a store that holds no capture and that nobody else has open; the last use of it.

        Other files in its folder stay.
        """
        with contextlib.suppress(KolmError), database.translating(self._path):
            if not database.lock_alone(self._connection) or len(self):
                return
            self._path.unlink()
            shutil.rmtree(self.blobs.root, ignore_errors=True)
            with contextlib.suppress(OSError):
                self.folder.rmdir()

    def __len__(self) -> int:
        with database.reading(self._path, self._before):
            return int(self._connection.execute("SELECT count(*) FROM captures").fetchone()[0])

    def adding(self) -> Addition:
        """An addition piece by piece; a context manager."""
        return Addition(self.blobs, self.image_records(), self._connection, self._path)

    def rows(self, *, tags: Collection[str] | None = None) -> Iterator[StoredCapture]:
        """All captures by ascending id, or those that have all of `tags`.

        Raises:
            Refused: a row is damaged.
        """
        wanted = frozenset(tags or ())
        before = b""
        with database.reading(self._path, self._before):
            cursor = self._connection.execute("SELECT id, document FROM captures ORDER BY id")
            for raw, data in cursor:
                stored = self._stored(raw, data)
                if raw <= before:  # a tree that leads to one page again and again has no end
                    message = "the captures are not in the order of their ids"
                    raise Refused("E_STORE_DAMAGED", message, where=str(self._path))
                before = raw
                if wanted <= set(stored.capture.tags):
                    yield stored

    def read(self, capture_id: Digest) -> StoredCapture:
        """One capture by its id.

        Raises:
            Unreadable: it is not in the store.
        """
        raw = digest.raw_of(capture_id)
        with database.reading(self._path, self._before):
            row = self._connection.execute(
                "SELECT document FROM captures WHERE id = ?", (raw,)
            ).fetchone()
        if row is None:
            raise Unreadable(
                "E_STORE_NO_CAPTURE",
                "the capture is not in the store",
                where=str(self.folder),
                expected=capture_id,
            )
        return self._stored(raw, row[0])

    def names(self) -> dict[Digest, str]:
        """The file and row of every capture that has them, such as ``pairs.jsonl:7``."""
        with database.reading(self._path, self._before):
            if not database.has_origins(self._connection):
                return {}
            rows = self._connection.execute("SELECT capture, place FROM origins").fetchall()
        # SQLite keeps whatever type it is given, and this table decides nothing.
        return {
            digest.of_hex(raw.hex()): place[:MAX_NAME_CHARACTERS]
            for raw, place in rows
            if isinstance(raw, bytes) and len(raw) == RAW_BYTES
            if isinstance(place, str) and place.isprintable()
        }

    def find(self, text: str) -> Digest:
        """The capture that is meant by a name, an id or the first digits of one.

        Raises:
            Unreadable: no capture is.
            Usage: several are.
        """
        with database.reading(self._path, self._before):
            ids = self._connection.execute("SELECT id FROM captures ORDER BY id").fetchall()
        known = [digest.of_hex(raw.hex()) for (raw,) in ids if isinstance(raw, bytes)]
        digits = text.removeprefix("sha256:")
        found = [name for name, place in self.names().items() if place == text]
        if not found and len(digits) >= SHORTEST_ID:
            found = [name for name in known if digest.hex_of(name).startswith(digits)]
        if not found:
            raise Unreadable(
                "E_STORE_NO_CAPTURE",
                "the store holds no capture of this name or id",
                where=str(self.folder),
                found=text,
                hint=f"kolm capture list --store {self.folder} shows them; of an id, "
                f"{SHORTEST_ID} digits are enough",
            )
        if len(found) > 1:
            raise Usage(
                "E_STORE_SEVERAL_CAPTURES",
                f"{len(found)} captures have this name",
                where=text,
                found="\n".join(found[: file_limits.MAX_NAMED_PROBLEMS]),
                hint="name one by its id",
            )
        return found[0]

    def remove(self, ids: Collection[Digest]) -> Removed:
        """Remove captures, and the images that no other capture shows.

        A kill between the two leaves files that no capture mentions, which do no harm.

        Raises:
            Unreadable: one of the captures is not in the store; nothing is removed then.
        """
        return removal.remove(self._connection, self._path, self.blobs, ids, self.read)

    def read_image(self, file: Digest) -> bytes:
        """The original bytes of an image file, checked against its digest.

        Raises:
            Unreadable: it is not in the store.
            Refused: the stored bytes are damaged.
        """
        return self.blobs.read(file, at_most=limits.MAX_IMAGE_BYTES)

    def signatures(self, files: Collection[Digest]) -> dict[Digest, bytes]:
        """The likeness signatures of image files (56 bytes each); unknown files are left out."""
        wanted = frozenset(files)
        with database.reading(self._path, self._before):
            rows = self._connection.execute("SELECT file, signature FROM images").fetchall()
        named = ((digest.of_hex(raw.hex()), signature) for raw, signature in rows)
        return {name: signature for name, signature in named if name in wanted}

    def image_records(self) -> dict[Digest, Image]:
        """What is known of every image file, by its digest."""
        with database.reading(self._path, self._before):
            rows = self._connection.execute("SELECT record FROM images").fetchall()
        records = (self._record(data) for (data,) in rows)
        return {record.file: record for record in records}

    def verify(self) -> tuple[int, int]:
        """Read everything again: every capture hashes to its id and has its images' files.

        Returns:
            The number of captures and of blobs.

        Raises:
            Refused: something is damaged or missing.
        """
        captures = 0
        for stored in self.rows():
            captures += 1
            for image in stored.capture.images:
                if not self.blobs.has(image.file):
                    raise Refused(
                        "E_STORE_DAMAGED",
                        "the file of a capture's image is not in the store",
                        where=str(self.blobs.path(image.file)),
                        expected=f"an image of capture {stored.id}",
                    )
        return captures, self.blobs.verify()

    def _stored(self, raw: bytes, data: bytes) -> StoredCapture:
        where = str(self._path)
        # SQLite keeps whatever type it is given, so a damaged row may hold a text or a number.
        whole = isinstance(raw, bytes) and isinstance(data, bytes)
        capture_id = digest.of_bytes(data) if whole else digest.EMPTY
        if digest.raw_of(capture_id) != raw:
            message = "a capture no longer hashes to its id"
            raise Refused("E_STORE_DAMAGED", message, where=where, found=repr(raw)[:80])
        document = canonical.loads_canonical(data, where=where)
        try:
            capture = documents.from_document(document)
        except (KeyError, TypeError) as error:
            message = f"a row of the store is not a capture: {error}"
            raise Refused("E_STORE_DAMAGED", message, where=where) from None
        return StoredCapture(id=capture_id, data=data, capture=capture)

    def _record(self, data: bytes) -> Image:
        return Image(**canonical.loads_canonical(data, where=str(self._path)))


def _demand_no_file(folder: Path) -> None:
    """Refuse a file where the folder of a store should be: most often rows to be imported."""
    if folder.is_file():
        raise Unreadable(
            "E_STORE_MISSING",
            "a capture store is a folder, and this is a file",
            where=str(folder),
            hint="rows are imported into a store: kolm capture import FILE --store DIR",
        )
