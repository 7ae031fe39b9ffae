"""What a reader has seen in a registry, so that the registry cannot go back under them.

A folder cannot show what is no longer in it. So each reader and publisher keeps, in a file of
their own, the entries that they have seen and believed there; `history.py` compares. Rules:
docs/format/registry.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kolm import canonical, digest, paths, schema, system
from kolm.digest import Digest
from kolm.errors import Refused, broken_file
from kolm.records import kinds
from kolm.registry.backends.backend import Backend
from kolm.registry.entries import SignedEntry
from kolm.registry.history import History, read_history
from kolm.registry.versions import parse_version
from kolm.sign.trust import TrustStore

if TYPE_CHECKING:
    from kolm.records.documents import Entry
    from kolm.records.documents import Seen as Remembered

FOLDER = "registries"
_NAME_HEX_DIGITS = 32


class Seen:
    """The memory of one reader about one registry; `Seen()` remembers nothing beyond itself.

    Args:
        path: the file that it is kept in.
        registry: the one spelling of where the registry is.
    """

    def __init__(self, path: Path | None = None, registry: str = "") -> None:
        self._path = path
        self._registry = registry.encode(errors="replace").decode()
        self._entries: dict[Digest, Remembered] = _read(path) if path is not None else {}
        self._new: dict[Digest, Remembered] = {}

    @classmethod
    def of(cls, folder: Path, backend: Backend) -> Seen:
        """What is remembered about a registry in the folder of keys and trust.

        Raises:
            Unreadable: ``E_SEEN_BROKEN``: the file is not what it should be.
        """
        name = digest.hex_of(digest.of_bytes(backend.identity.encode(errors="surrogateescape")))
        return cls(folder / FOLDER / f"{name[:_NAME_HEX_DIGITS]}.jsonl", backend.identity)

    def history(self, backend: Backend, name: str, trust: TrustStore) -> History:
        """Read the history of a name, held to what was seen before, and remember it.

        Raises:
            KolmError: the registry cannot be read.
        """
        found = read_history(
            backend.entries(name), name=name, trust=trust, seen=self._known(name, trust)
        )
        for signed in found.believed:
            self.learn(signed.entry, signed.digest, signed.keyid)
        return found

    def names(self) -> list[str]:
        """Every name that something is remembered of, sorted."""
        return sorted({old["entry"]["name"] for old in self._entries.values()})

    def learn(self, entry: Entry, stored: Digest, keyid: str) -> None:
        """Remember a believed entry."""
        if stored not in self._entries:
            self._entries[stored] = self._new[stored] = {
                "registry": self._registry,
                "digest": stored,
                "key": keyid,
                "entry": entry,
            }

    def forget(self) -> bool:
        """Remove what is remembered; True when there was something.

        Raises:
            KolmError: the folder cannot be written.
        """
        known = bool(self._entries)
        self._entries.clear()
        self._new.clear()
        if self._path is not None:
            with system.naming(self._path):
                self._path.unlink(missing_ok=True)
        return known

    def save(self) -> None:
        """Keep what was learnt; what another process has kept meanwhile stays.

        Raises:
            KolmError: the folder cannot be written.
        """
        if self._path is None or not self._new:
            return
        with system.naming(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with paths.locked(self._path.with_suffix(".lock")):
                entries = {**_read(self._path), **self._new}.values()
                ordered = sorted(
                    entries, key=lambda old: (old["entry"]["name"], old["entry"]["sequence"])
                )
                paths.atomic_write(self._path, canonical.dump_lines(ordered), mode=0o600)
        self._new.clear()

    def _known(self, name: str, trust: TrustStore) -> list[SignedEntry]:
        """What was seen of a name and is still believed."""
        return [
            SignedEntry(
                entry=old["entry"],
                version=parse_version(old["entry"]["version"]),
                digest=old["digest"],
                keyid=old["key"],
                signer=signer,
                objection=None,
            )
            for old in self._entries.values()
            if old["entry"]["name"] == name
            and (signer := trust.find(old["key"]))
            and signer.may_publish(name)
        ]


def _read(path: Path) -> dict[Digest, Remembered]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise system.error_of(error, where=path) from None
    found: dict[Digest, Remembered] = {}
    try:
        for number, _, row in canonical.read_lines(data, where=str(path)):
            where = f"{path}:{number}"
            old = schema.check(kinds.SEEN, row, where=where)
            schema.check(kinds.ENTRY, old["entry"], where=where)
            found[old["digest"]] = old
    except Refused as error:
        hint = "restore it from a copy; without it, what was seen in this registry is forgotten"
        raise broken_file(
            error, "E_SEEN_BROKEN", "a record of what was seen in a registry", hint=hint
        ) from None
    return found
