"""The bundle: the members as values: documents parsed once, rows read as they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from kolm import canonical, digest, schema
from kolm.bundle import limits, members
from kolm.bundle.container import Container
from kolm.bundle.members import ContentKind
from kolm.digest import Digest
from kolm.errors import Refused
from kolm.format import names
from kolm.format.names import Name
from kolm.format.versions import CURRENT, rules_of

if TYPE_CHECKING:
    from kolm.format.v1 import Rules

D = TypeVar("D")

# Parsed rows take some six times their bytes; larger members are parsed again at each reading, so
# that memory stays under file size plus 256 MiB.
_KEPT_BYTES: Final = 16 * limits.MIB


class Documents:
    """The documents and rows of one bundle, by member name."""

    def __init__(self, contents: Mapping[str, memoryview], artifact_type: str = CURRENT) -> None:
        self.contents = contents
        self._artifact_type = artifact_type
        self._documents: dict[str, object] = {}
        self._rows: dict[str, tuple[Any, ...]] = {}
        self._digests: dict[str, Digest] = {}

    @classmethod
    def of(cls, container: Container) -> Documents:
        """The members of a container whose bytes are there.

        Raises:
            Refused, Unreadable: the manifest cannot be read.
        """
        present = set(container.digests)
        found = [m for m in container.manifest.members if m.digest in present]
        return cls(
            {member.name: container.blob(member.digest) for member in found},
            container.manifest.artifact_type,
        )

    @property
    def rules(self) -> type[Rules]:
        """What follows from what, in the version that the bundle states."""
        return rules_of(self._artifact_type)

    def __contains__(self, name: object) -> bool:
        return name in self.contents

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The members that are there: the receipt first, then the layers in table order."""
        layers = sorted((n for n in self.contents if n != names.RECEIPT), key=members.position)
        return (names.RECEIPT, *layers)

    def raw(self, name: str) -> memoryview:
        """The stored bytes of a member.

        Raises:
            Refused: ``E_MEMBER_MISSING``.
        """
        try:
            return self.contents[name]
        except KeyError:
            raise Refused("E_MEMBER_MISSING", "the bundle lacks a member", where=name) from None

    def digest_of(self, name: str) -> Digest:
        """The digest of a member's stored bytes, which are hashed once.

        Raises:
            Refused: ``E_MEMBER_MISSING``.
        """
        if name not in self._digests:
            self._digests[name] = digest.of_bytes(self.raw(name))
        return self._digests[name]

    def document(self, name: Name[D]) -> D:
        """A JSON member as a value; callers do not change it.

        Raises:
            Refused: missing, not canonical JSON, or not of the member's schema.
        """
        if name not in self._documents:
            raw, kind = self.raw(name), members.kind_of(name)
            if kind.content is ContentKind.PEFT_CONFIG:
                value = canonical.loads(raw, where=name, floats=True)
            else:
                value = canonical.loads_canonical(raw, where=name)
            if kind.schema is not None:
                schema.check(kind.schema, value, where=name)
            if type(value) is not dict:
                raise Refused("E_JSON_VALUE", "the document is not an object", where=name)
            self._documents[name] = value
        return cast("D", self._documents[name])

    def rows(self, name: Name[D]) -> Iterator[D]:
        """The rows of a JSON Lines member, in order; callers do not change them.

        Raises:
            Refused: missing, or a line that is not canonical JSON.
        """
        kept = self._rows.get(name)
        if kept is not None:
            return iter(kept)
        lines = canonical.read_lines(self.raw(name), where=name)
        stream = (cast("D", row) for _, _, row in lines)
        if len(self.raw(name)) > _KEPT_BYTES:
            return stream
        self._rows[name] = tuple(stream)
        return iter(self._rows[name])

    def lines(self, name: str) -> Iterator[bytes]:
        """The stored lines of a JSON Lines member, without their newlines."""
        return canonical.split_lines(self.raw(name), where=name)
