"""A registry in a folder: on a disk or a shared drive.

::

    registry.json                       the mark of a registry
    entries/OWNER/NAME/000001.json      signed entries; a number is written once and never again
    blobs/sha256/<hex>                  the .kolm files by digest
    tmp/                                what a killed publisher leaves behind; never read

A new entry is made whole under another name and then hard-linked to its number. The link fails
when the number is taken, which makes it a compare-and-swap that every POSIX file system offers,
so that no lock is needed and none can be left behind. Rules: docs/format/registry.md.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from kolm import canonical, digest, paths, schema, system
from kolm.bundle.held import Held
from kolm.digest import Digest
from kolm.errors import Lacking, Refused, Unreadable, Usage
from kolm.registry.staging import read_small, written
from kolm.sign.envelope import MAX_ENVELOPE_BYTES

MARK = {"schema": "urn:kolm:registry:v1"}
_MARK_NAME, _ENTRIES, _TEMPORARY = "registry.json", "entries", "tmp"
_BLOBS = Path("blobs") / "sha256"
_MAX_MARK_BYTES = 4096
_ENTRY_NAME = re.compile(r"([0-9]{6})\.json\Z", re.ASCII)
_SEGMENT = re.compile(r"[a-z0-9][a-z0-9-]*\Z", re.ASCII)
_URL = re.compile(r"[a-z][a-z0-9+.-]+:/", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{64}\Z", re.ASCII)


class Directory:
    """A registry folder; make it with `create`, use it with `open`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def create(cls, folder: Path) -> Directory:
        """Make an empty registry in a new or empty folder.

        Raises:
            Usage: the folder holds something.
            Denied: the folder cannot be written.
        """
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise Usage(
                "E_REGISTRY_EXISTS",
                "the folder is not empty",
                where=str(folder),
                expected="a new or empty folder",
            )
        with system.naming(folder):
            for part in (Path(_ENTRIES), _BLOBS, Path(_TEMPORARY)):
                (folder / part).mkdir(parents=True, exist_ok=True)
            # The mark comes last: a folder that has it is complete.
            paths.atomic_write(folder / _MARK_NAME, canonical.dumps(MARK) + b"\n")
        return cls(folder)

    @classmethod
    def open(cls, folder: Path) -> Directory:
        """Open an existing registry.

        Raises:
            Unreadable: it is not a registry, or of an unknown version.
            Usage: it is a URL.
        """
        try:
            data = read_small(folder / _MARK_NAME, max_bytes=_MAX_MARK_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            if _URL.match(str(folder)):
                raise Usage(
                    "E_REGISTRY_URL",
                    "a registry is a folder, and kolm reads no URLs",
                    where=str(folder),
                    hint="mount or copy it, and name the folder",
                ) from None
            raise Unreadable(
                "E_REGISTRY_MISSING",
                "not a registry: it has no registry.json",
                where=str(folder),
                hint=f"kolm registry init {folder}",
            ) from None
        try:
            schema.check("registry", canonical.loads(data, where=_MARK_NAME), where=_MARK_NAME)
        except Refused as error:
            raise Unreadable(
                "E_REGISTRY_VERSION",
                "a registry of a layout that this version does not know",
                where=str(folder / _MARK_NAME),
                expected=MARK["schema"],
                found=str(error),
            ) from None
        return cls(folder)

    @property
    def where(self) -> str:
        """The folder."""
        return str(self._folder)

    def names(self) -> list[str]:
        """Every name with at least one entry, sorted."""
        found: list[str] = []
        for owner in _folders(self._folder / _ENTRIES):
            if _has_entries(owner):
                found.append(owner.name)
            found += [f"{owner.name}/{sub.name}" for sub in _folders(owner) if _has_entries(sub)]
        return sorted(found)

    def entries(self, name: str) -> list[bytes]:
        """The stored entries of a name, first to last.

        Raises:
            Refused: a number is missing, or an entry is not a small regular file.
        """
        folder = self._entries_of(name)
        numbers = sorted(_numbers(folder))
        missing = next((n for n, there in enumerate(numbers, start=1) if n != there), None)
        if missing is not None:
            raise Refused(
                "E_ENTRY_GAP",
                "an entry is missing in the middle of a history",
                where=name,
                expected=f"{missing:06d}.json",
            )
        return [
            read_small(folder / f"{number:06d}.json", max_bytes=MAX_ENVELOPE_BYTES)
            for number in numbers
        ]

    def append(self, name: str, sequence: int, data: bytes) -> bool:
        """Store entry `sequence` of a name unless there is one; False when there was.

        Raises:
            Denied: the folder cannot be written.
            Lacking: the file system has no hard links.
        """
        folder = self._entries_of(name)
        with system.naming(folder):
            _make_durable_folders(folder, self._folder / _ENTRIES)
            with written(data, self._temporary_folder()) as temporary:
                if not _link(temporary, folder / f"{sequence:06d}.json"):
                    return False
            paths.sync_folder(folder)
        return True

    def keep(self, held: Held) -> None:
        """Make a copy of a file available under its digest; a damaged old one is replaced."""
        target = self._blob_path(held.digest)
        with system.naming(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with written(held.view, self._temporary_folder()) as copy:
                copy.replace(target)
            paths.sync_folder(target.parent)

    def blob(self, content: Digest) -> Path:
        """The file that should hold the bytes of a digest.

        Raises:
            Unreadable: there is none.
        """
        path = self._blob_path(content)
        if not path.is_file():
            raise Unreadable(
                "E_BLOB_MISSING",
                "the registry does not hold this file",
                where=self.where,
                expected=str(content),
            )
        return path

    def blobs(self) -> Iterator[Digest]:
        """The digest in the name of every kept file, sorted."""
        with contextlib.suppress(FileNotFoundError):
            for path in sorted((self._folder / _BLOBS).iterdir()):
                if _HEX.match(path.name):
                    yield digest.of_hex(path.name)

    def _blob_path(self, content: Digest) -> Path:
        return self._folder / _BLOBS / digest.hex_of(content)

    def _entries_of(self, name: str) -> Path:
        return self._folder.joinpath(_ENTRIES, *name.split("/"))

    def _temporary_folder(self) -> Path:
        folder = self._folder / _TEMPORARY
        with system.naming(folder):
            folder.mkdir(exist_ok=True)
        return folder


def _link(source: Path, target: Path) -> bool:
    """Give a file a second name; False when the name is taken."""
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        raise Lacking(
            "E_REGISTRY_LINKS",
            "the file system cannot link files, which publishing safely needs",
            where=str(target.parent),
            hint="keep the registry on a local disk or another share",
        ) from None
    return True


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [p for p in sorted(folder.iterdir()) if _SEGMENT.match(p.name) and p.is_dir()]


def _numbers(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    matches = (_ENTRY_NAME.match(path.name) for path in folder.iterdir())
    return [int(match.group(1)) for match in matches if match]


def _has_entries(folder: Path) -> bool:
    return bool(_numbers(folder))


def _make_durable_folders(folder: Path, top: Path) -> None:
    """Make the folders of a name, and make sure that they survive a crash before an entry does."""
    missing = [folder]
    while missing[-1] != top:
        missing.append(missing[-1].parent)
    for step in reversed(missing[:-1]):
        step.mkdir(exist_ok=True)
        paths.sync_folder(step.parent)
