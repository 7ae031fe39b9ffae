"""A small world of publishers and readers, with plain text standing in for bundles.

The first line of a file is "the bundle", the other lines are its claims; a file that begins with
"bad" does not verify.
"""

from dataclasses import dataclass
from pathlib import Path

from kolm import digest
from kolm.errors import Refused
from kolm.registry.backends.directory import Directory
from kolm.registry.publish import Publisher
from kolm.registry.references import parse_target
from kolm.registry.seen import Seen
from kolm.sign import keys
from kolm.sign.trust import Role, TrustedKey, TrustStore


def check(held):
    data = bytes(held.view)
    if data.startswith(b"bad"):
        raise Refused("E_TEST_BAD", "the bundle does not verify", where=str(held.path))
    return digest.of_bytes(data.split(b"\n")[0])


def read_claims(held):
    return frozenset(digest.of_bytes(line) for line in bytes(held.view).split(b"\n")[1:])


@dataclass
class World:
    folder: Path

    def __post_init__(self):
        self.registry = Directory.create(self.folder / "registry")
        self.key = keys.generate()
        self.trust = TrustStore((self.trusted("alice", self.key),))

    @staticmethod
    def trusted(name, key, *, names=("*",), roles=tuple(Role)):
        return TrustedKey(name=name, key=key.public, roles=frozenset(roles), names=tuple(names))

    def with_key(self, name, **limits):
        """Another publisher's key, trusted by everybody from now on."""
        key = keys.generate()
        self.trust = TrustStore((*self.trust.keys, self.trusted(name, key, **limits)))
        return key

    def publish(
        self, target, content="one", *, key=None, trust=None, source=None, registry=None, seen=None
    ):
        if source is None:
            source = self.folder / "source.kolm"
            source.write_text(content)
        name, version = parse_target(target)
        publisher = Publisher(
            key=key or self.key,
            trust=trust or self.trust,
            check=check,
            read_claims=read_claims,
            seen=seen or Seen(),
        )
        return publisher.publish(registry or self.registry, source, name, version)
