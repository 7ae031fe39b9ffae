"""A small world of publishers and readers, with plain text standing in for bundles.

The first line of a file is "the bundle", the other lines are its claims; a file that begins with
"bad" does not verify.
"""

import contextlib
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from kolm import digest
from kolm.bundle.held import Held
from kolm.bundle.streams import Readable
from kolm.digest import Digest
from kolm.errors import KolmError, Refused, Unreadable, Usage
from kolm.registry.backends.backend import StoredEntries
from kolm.registry.backends.directory import Directory
from kolm.registry.check import Passed
from kolm.registry.publish import Publisher
from kolm.registry.references import parse_target
from kolm.registry.seen import Seen
from kolm.sign import private_keys
from kolm.sign.trust import KeyRole, TrustedKey, TrustStore


def check(held):
    data = bytes(held.view)
    if data.startswith(b"bad"):
        raise Refused("E_TEST_BAD", "the bundle does not verify", where=str(held.path))
    bundle, *claims = map(digest.of_bytes, data.split(b"\n"))
    return Passed(bundle, frozenset(claims))


@dataclass
class InMemory:
    """A registry in this process, by its address: nothing of it has a path."""

    where: str
    histories: dict[str, dict[int, bytes]] = field(default_factory=dict)
    files: dict[Digest, bytes] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    made: ClassVar[dict[str, "InMemory"]] = {}

    @classmethod
    def create(cls, address: str | Path) -> "InMemory":
        if str(address) in cls.made:
            raise Usage("E_REGISTRY_EXISTS", "a registry is there", where=str(address))
        return cls.made.setdefault(str(address), cls(str(address)))

    @classmethod
    def open(cls, address: str | Path) -> "InMemory":
        if str(address) not in cls.made:
            raise Unreadable("E_REGISTRY_MISSING", "there is none", where=str(address))
        return cls.made[str(address)]

    @property
    def identity(self) -> str:
        return self.where

    def names(self) -> list[str]:
        return sorted(self.histories)

    def entries(self, name: str) -> StoredEntries:
        return StoredEntries(dict(self.histories.get(name, {})), frozenset(), ())

    def append(self, name: str, sequence: int, data: bytes) -> bool:
        with self.lock:
            entries = self.histories.setdefault(name, {})
            return entries.setdefault(sequence, data) is data

    def keep(self, held: Held) -> None:
        self.files[held.digest] = bytes(held.view)

    @contextlib.contextmanager
    def blob(self, content: Digest) -> Iterator[Readable]:
        if content not in self.files:
            raise Unreadable("E_BLOB_MISSING", "it is not there", where=self.where)
        with io.BytesIO(self.files[content]) as stream:
            yield stream

    def blobs(self) -> Iterator[Digest]:
        yield from sorted(self.files)

    def strays(self) -> Iterator[KolmError]:
        yield from ()


@dataclass
class World:
    folder: Path

    def __post_init__(self):
        self.registry = Directory.create(self.folder / "registry")
        self.key = private_keys.generate()
        self.trust = TrustStore((self.trusted("alice", self.key),))

    @staticmethod
    def trusted(name, key, *, names=("*",), roles=tuple(KeyRole)):
        return TrustedKey(name=name, key=key.public, roles=frozenset(roles), names=tuple(names))

    def with_key(self, name, **limits):
        """Another publisher's key, trusted by everybody from now on."""
        key = private_keys.generate()
        self.trust = TrustStore((*self.trust.keys, self.trusted(name, key, **limits)))
        return key

    def publish(
        self,
        target,
        content="one",
        *,
        key=None,
        trust=None,
        source=None,
        registry=None,
        seen=None,
        check=check,
    ):
        if source is None:
            source = self.folder / "source.kolm"
            source.write_text(content)
        name, version = parse_target(target)
        publisher = Publisher(
            key=key or self.key,
            trust=trust or self.trust,
            check=check,
            seen=seen or Seen(),
        )
        return publisher.publish(registry or self.registry, source, name, version)
