"""The store: content-addressed blobs on disk, written so that a kill at any moment is harmless.

A blob is written to a temporary file, synced, and only then renamed to the place its digest names;
then the folders that hold the names are synced. So a name that exists has its whole content, and
after `Batch.commit` has returned, a record that mentions the blobs may be written elsewhere. What a
kill can leave behind is a temporary file, or a blob that nobody mentions; both are harmless.

Folders: ``<root>/sha256/<first two hex digits>/<hex>`` and ``<root>/tmp/`` for files in the making.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Container, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Self

from kolm import digest, file_digests, paths, system
from kolm.digest import Digest
from kolm.errors import KolmError, Refused, Unreadable
from kolm.store.presence import Presence

# fsync waits for the disk, not the processor: waiting for several at once lets the file system
# write them in one go (measured: 5,000 files in 0.5 s instead of 1.3 s).
SYNC_THREADS = 16


class BlobStore:
    """Blobs in a folder, found by their digest.

    Args:
        root: the folder; made when the first blob is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: Digest) -> Path:
        """Where a blob lies, or would lie."""
        hexadecimal = digest.hex_of(name)
        return self.root / "sha256" / hexadecimal[:2] / hexadecimal

    def has(self, name: Digest) -> bool:
        """Whether the blob is here; its bytes are not read."""
        return self.path(name).is_file()

    def open(self, name: Digest) -> BinaryIO:
        """A stream over a blob's stored bytes, which the caller closes; they are not rechecked.

        Raises:
            Unreadable: the blob is not here.
        """
        with translating(str(self.path(name))):
            return self.path(name).open("rb")

    def read(self, name: Digest, *, at_most: int = -1) -> bytes:
        """The bytes of a blob, checked against its digest.

        Args:
            name: its digest.
            at_most: no more bytes than this are read, so that a longer blob counts as damaged.

        Raises:
            Unreadable: the blob is not here.
            Refused: the stored bytes are no longer the blob's.
        """
        with self.open(name) as stream:
            data = stream.read(at_most)
        if digest.of_bytes(data) != name:
            raise _damaged(self.path(name), name)
        return data

    def remove(self, name: Digest) -> None:
        """Unlink a blob, if it is here; the caller knows that nobody mentions it."""
        with translating(str(self.path(name))):
            self.path(name).unlink(missing_ok=True)

    def batch(self) -> Batch:
        """Many blobs that become durable together; a context manager."""
        return Batch(self)

    def names(self) -> Iterator[Digest]:
        """The digests of all blobs, sorted."""
        folder = self.root / "sha256"
        if not folder.is_dir():
            return
        for fan in sorted(folder.iterdir()):
            for path in sorted(fan.iterdir()):
                yield digest.parse(f"sha256:{path.name}", where=str(path))

    def verify(self) -> int:
        """Read every blob again and compare its digest; gives how many there are.

        Raises:
            Refused: a blob whose bytes are not those of its name.
        """
        count = 0
        for name in self.names():
            if file_digests.of_file(self.path(name)) != name:
                raise _damaged(self.path(name), name)
            count += 1
        return count


class Batch:
    """Blobs on their way into a store: staged by `add`, all durable after `commit`.

    Leaving the context without a commit removes what was staged.
    """

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._folder = store.root / "tmp"
        self._staged: dict[Digest, Path] = {}
        self._present: set[Digest] = set()
        self._presence = Presence(self._folder)

    def __enter__(self) -> Self:
        with translating(str(self._folder)):
            self._folder.mkdir(parents=True, exist_ok=True)
            if self._presence.enter():
                for leftover in self._folder.glob("*.part"):
                    leftover.unlink(missing_ok=True)
                self._presence.share()
        return self

    def __exit__(self, *_: object) -> None:
        for temporary in self._staged.values():
            temporary.unlink(missing_ok=True)
        self._staged.clear()
        self._presence.leave()

    def add(self, data: bytes) -> Digest:
        """Stage bytes; gives their digest."""
        name = digest.of_bytes(data)
        if not self._known(name, len(data)):
            with self._temporary() as (stream, temporary):
                stream.write(data)
            self._staged[name] = temporary
        return name

    def keep_only(self, names: Container[Digest]) -> None:
        """Remove what was staged under other names."""
        for name in [name for name in self._staged if name not in names]:
            self._staged.pop(name).unlink(missing_ok=True)

    def commit(self) -> int:
        """Make all that was staged durable under its name; gives how many blobs were new."""
        if not self._staged and not self._present:
            return 0
        with translating(str(self._store.root)):
            _sync_files(self._staged.values())
            fans = {self._store.path(name).parent for name in (*self._staged, *self._present)}
            for fan in fans:
                fan.mkdir(parents=True, exist_ok=True)
            for name, temporary in self._staged.items():
                temporary.replace(self._store.path(name))
            # Another writer may have renamed a present blob without having synced its folder yet.
            _sync_folders([*fans, self._store.root / "sha256", self._store.root])
        count = len(self._staged)
        self._staged.clear()
        self._present.clear()
        return count

    def _known(self, name: Digest, size_bytes: int) -> bool:
        if name in self._staged or name in self._present:
            return True
        try:
            here = self._store.path(name).stat().st_size == size_bytes
        except FileNotFoundError:
            return False
        if here:
            self._present.add(name)
        return here

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[tuple[BinaryIO, Path]]:
        with translating(str(self._folder)):
            handle, text = tempfile.mkstemp(suffix=".part", dir=self._folder)
            temporary = Path(text)
            try:
                os.fchmod(handle, 0o644)
                with os.fdopen(handle, "wb") as stream:
                    yield stream, temporary
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise


@contextlib.contextmanager
def translating(where: str) -> Iterator[None]:
    """Give the operating system's errors a name; what the store misses is its own to say."""
    try:
        yield
    except FileNotFoundError as error:
        found = str(error.filename or where)
        raise Unreadable("E_STORE_MISSING", "not found", where=found) from None
    except OSError as error:
        raise system.error_of(error, where=where) from None


def _damaged(path: Path, name: Digest) -> KolmError:
    return Refused(
        "E_STORE_DAMAGED",
        "the stored bytes are no longer those of their name",
        where=str(path),
        expected=name,
        hint="move the file away and add the image again",
    )


def _sync_files(files: Iterable[Path]) -> None:
    with ThreadPoolExecutor(SYNC_THREADS) as pool:
        for _ in pool.map(_sync_file, files):
            pass


def _sync_file(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folders(folders: Iterable[Path]) -> None:
    with ThreadPoolExecutor(SYNC_THREADS) as pool:
        for _ in pool.map(paths.sync_folder, folders):
            pass
