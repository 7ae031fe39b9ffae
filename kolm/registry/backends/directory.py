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
from kolm.bundle.held import Held, open_regular
from kolm.bundle.streams import Readable
from kolm.digest import Digest
from kolm.errors import KolmError, Lacking, Refused, Unreadable, Usage
from kolm.records import kinds
from kolm.registry.backends.backend import StoredEntries
from kolm.registry.staging import read_small, written
from kolm.sign.envelope import MAX_ENVELOPE_BYTES

MARK = {"schema": "urn:kolm:registry:v1"}
_MARK_NAME, _ENTRIES, _TEMPORARY = "registry.json", "entries", "tmp"
_BLOBS = Path("blobs") / "sha256"
_MAX_MARK_BYTES = 4096
_ENTRY_NAME = re.compile(r"([0-9]{6})\.json\Z", re.ASCII)
_SEGMENT = re.compile(r"[a-z0-9][a-z0-9-]*\Z", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{64}\Z", re.ASCII)


class Directory:
    """A registry folder; make it with `create`, use it with `open`."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)

    @classmethod
    def create(cls, folder: str | Path) -> Directory:
        """Make an empty registry in a new or empty folder, or where an earlier call was cut short.

        Raises:
            Usage: the folder holds something.
            Denied: the folder cannot be written.
        """
        folder = Path(folder)
        begun = {folder / part for part in (_ENTRIES, _BLOBS.parent, _BLOBS, _TEMPORARY)}
        begun |= set((folder / _TEMPORARY).glob("*"))
        if folder.exists() and (not folder.is_dir() or set(folder.rglob("*")) - begun):
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
            mark = canonical.dumps(MARK) + b"\n"
            with written(mark, folder / _TEMPORARY) as temporary:
                temporary.replace(folder / _MARK_NAME)
            paths.sync_folder(folder)
        return cls(folder)

    @classmethod
    def open(cls, folder: str | Path) -> Directory:
        """Open an existing registry.

        Raises:
            Unreadable: it is not a registry, or of an unknown version.
        """
        folder = Path(folder)
        try:
            data = read_small(folder / _MARK_NAME, max_bytes=_MAX_MARK_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            raise Unreadable(
                "E_REGISTRY_MISSING",
                "not a registry: it has no registry.json",
                where=str(folder),
                hint=f"--registry names another folder; kolm registry init {folder} makes one",
            ) from None
        try:
            schema.check(kinds.REGISTRY, canonical.loads(data, where=_MARK_NAME), where=_MARK_NAME)
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

    @property
    def identity(self) -> str:
        """The folder's absolute path, links on the way to it followed."""
        return os.path.realpath(self._folder)

    def names(self) -> list[str]:
        """Every name with at least one entry, sorted.

        Raises:
            Refused: ``E_REGISTRY_LINK``.
        """
        found: list[str] = []
        for owner in _folders(self._own(_ENTRIES)):
            if _has_entries(owner):
                found.append(owner.name)
            found += [f"{owner.name}/{sub.name}" for sub in _folders(owner) if _has_entries(sub)]
        return sorted(found)

    def entries(self, name: str) -> StoredEntries:
        """What is stored of a name: its numbered files, each read if it is a small regular file.

        Raises:
            Refused: ``E_REGISTRY_LINK``.
        """
        folder = self._entries_of(name)
        entries: dict[int, bytes] = {}
        taken: set[int] = set()
        problems: list[KolmError] = []
        for number in sorted(_numbers(folder)):
            path = folder / f"{number:06d}.json"
            try:
                if path.is_symlink():
                    raise _a_link(path)
                entries[number] = read_small(path, max_bytes=MAX_ENVELOPE_BYTES)
            except FileNotFoundError:
                continue  # it was removed since the folder was listed
            except KolmError as error:
                problems.append(error)
                taken.add(number)
        return StoredEntries(entries=entries, taken=frozenset(taken), problems=tuple(problems))

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
        target = self.path_of(held.digest)
        with system.naming(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with written(held.view, self._temporary_folder()) as copy:
                copy.replace(target)
            paths.sync_folder(target.parent)

    @contextlib.contextmanager
    def blob(self, content: Digest) -> Iterator[Readable]:
        """What should be the bytes of a digest.

        Raises:
            Unreadable: there is no file of it.
            Refused: ``E_REGISTRY_LINK``.
        """
        path = self.path_of(content)
        if path.is_symlink():
            raise _a_link(path)
        if not path.is_file():
            raise Unreadable(
                "E_BLOB_MISSING",
                "the registry does not hold this file",
                where=self.where,
                expected=str(content),
            )
        with os.fdopen(open_regular(path, follow=False), "rb", buffering=0) as stream:
            yield stream

    def path_of(self, content: Digest) -> Path:
        """Where the file of a digest lies, if it is there.

        Raises:
            Refused: ``E_REGISTRY_LINK``.
        """
        return self._own(_BLOBS) / digest.hex_of(content)

    def blobs(self) -> Iterator[Digest]:
        """The digest in the name of every kept file, sorted."""
        for path in _listed(self._own(_BLOBS)):
            if _is_blob(path):
                yield digest.of_hex(path.name)

    def strays(self) -> Iterator[KolmError]:
        """A finding for everything below ``entries`` and ``blobs`` that has no place there."""
        entries, kinds = self._folder / _ENTRIES, self._folder / "blobs"
        blobs = self._folder / _BLOBS
        places = [(path, True) for path in (entries, kinds, self._folder / _TEMPORARY)]
        places += [(owner, _is_name(owner)) for owner in _listed(entries)]
        for owner in _folders(entries):
            places += [(path, _is_entry(path) or _is_name(path)) for path in _listed(owner)]
            for sub in _folders(owner):
                places += [(path, _is_entry(path)) for path in _listed(sub)]
        places += [(path, path == blobs) for path in _listed(kinds)]
        places += [(path, _is_blob(path)) for path in _listed(blobs)]
        for path, belongs in places:
            if path.is_symlink() and not _is_entry(path):  # what `entries` says is not said twice
                yield _a_link(path)
            elif not belongs:
                yield Refused(
                    "E_REGISTRY_STRAY",
                    "a file or folder that does not belong in a registry",
                    where=str(path),
                    hint="move it away; what is not an entry or a bundle is never read",
                )

    def _own(self, *parts: str | Path) -> Path:
        """A place in the registry, reached without a symbolic link: it could lead elsewhere.

        Raises:
            Refused: ``E_REGISTRY_LINK``.
        """
        path = self._folder
        for part in Path(*parts).parts:
            path = path / part
            if path.is_symlink():
                raise _a_link(path)
        return path

    def _entries_of(self, name: str) -> Path:
        return self._own(_ENTRIES, *name.split("/"))

    def _temporary_folder(self) -> Path:
        folder = self._own(_TEMPORARY)
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
            "the file system has no hard links, which safe publishing needs",
            where=str(target.parent),
            hint="keep the registry on a local disk or another share",
        ) from None
    return True


def _a_link(path: Path) -> Refused:
    return Refused(
        "E_REGISTRY_LINK",
        "a symbolic link in a registry is not followed",
        where=str(path),
        hint="put the file or folder itself there, or move the link away",
    )


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []


def _folders(folder: Path) -> list[Path]:
    return [path for path in _listed(folder) if _is_name(path)]


def _is_name(path: Path) -> bool:
    return bool(_SEGMENT.match(path.name)) and path.is_dir() and not path.is_symlink()


def _is_entry(path: Path) -> bool:
    return bool(_ENTRY_NAME.match(path.name))  # what is wrong with it is found when it is read


def _is_blob(path: Path) -> bool:
    return bool(_HEX.match(path.name)) and path.is_file() and not path.is_symlink()


def _numbers(folder: Path) -> list[int]:
    matches = (_ENTRY_NAME.match(path.name) for path in _listed(folder))
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
