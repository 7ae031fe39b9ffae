"""The bundle: its members as values, each parsed once, strictly, for everything that reads it.

A member that is not strict JSON or does not fit its schema (V06), or is not in its canonical bytes
(V07), is kept as its error: whoever reads it gets that, and the checks that read it are then not
checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from kolm import canonical, digest, schema
from kolm.bundle import limits, members, tensors
from kolm.bundle.container import Container
from kolm.bundle.members import ContentKind
from kolm.bundle.snapshot_lines import SnapshotLines, read_snapshot_lines
from kolm.digest import Digest
from kolm.errors import KolmError, Refused
from kolm.format.names import EXAMPLES, LINES, LOCK, RECEIPT, Name
from kolm.format.versions import CURRENT, rules_of
from kolm.schema import DocumentKind

if TYPE_CHECKING:
    from kolm.format.order import Reading
    from kolm.format.v1 import Rules

D = TypeVar("D")
NOT_CANONICAL: Final = frozenset({"E_JSON_NOT_CANONICAL", "E_TENSORS_CANONICAL"})

# Parsed rows take up to fifteen times their bytes. What is beyond this, of all members together,
# is parsed again each time that somebody goes through it, so that an audit stays under the file's
# size and 256 MiB.
KEPT_BYTES: Final = 8 * limits.MIB
# Short lines that fitted and may come again, so that each is held against its schema once.
MOST_FITTING: Final = 1024
LONGEST_FITTING_BYTES: Final = 256


class Rows(Generic[D]):
    """The rows of a JSON Lines member, each of which has been checked."""

    def __init__(self, data: memoryview | bytes, count: int, kept: list[D] | None):
        self._data = data
        self._count = count
        self._kept = kept

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[D]:
        if self._kept is not None:
            return iter(self._kept)
        return canonical.read_again(self._data)


class Documents:
    """The members of one bundle by name, parsed when first asked for; callers change nothing."""

    def __init__(
        self,
        contents: Mapping[str, memoryview],
        artifact_type: str = CURRENT,
        found: Callable[[str], Digest] | None = None,
    ) -> None:
        self.contents = contents
        self._artifact_type = artifact_type
        self._values: dict[str, Any] = {}
        self._errors: dict[str, KolmError | None] = {}
        self._found = found or cache(lambda name: digest.of_bytes(contents[name]))
        self._room_bytes = KEPT_BYTES

    @classmethod
    def of(cls, container: Container) -> Documents:
        """The members of a container whose bytes are there.

        Raises:
            Refused, Unreadable: the manifest cannot be read.
        """
        present = set(container.digests)
        here = {
            member.name: container.entry(member.digest)
            for member in container.manifest.members
            if member.digest in present
        }
        return cls(
            {name: container.read(entry) for name, entry in here.items()},
            container.manifest.artifact_type,
            lambda name: container.found(here[name]),
        )

    @property
    def rules(self) -> type[Rules]:
        """What follows from what, in the version that the bundle states."""
        return rules_of(self._artifact_type)

    @cached_property
    def reading(self) -> Reading:
        """What the training read, as lock and examples.jsonl fix it.

        Raises:
            KolmError: one of them is missing, or could not be parsed.
        """
        from kolm.format.order import reading_of  # for whoever looks at the training

        return reading_of(self.rules.read_schedule(self.document(LOCK)), self.rows(EXAMPLES))

    def __contains__(self, name: object) -> bool:
        return name in self.contents

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The members that are there: the receipt first, then the layers in table order."""
        layers = sorted((name for name in self.contents if name != RECEIPT), key=members.position)
        return (RECEIPT, *layers)

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
        self.raw(name)
        return self._found(name)

    def error_of(self, name: str) -> KolmError | None:
        """Why a member cannot be read, or None; the value is not kept of what may be thousands."""
        if name not in self._errors:
            self._errors[name] = None
            try:
                value = self._parse(name)
                if not members.kind_of(name).several:
                    self._values[name] = value
            except KolmError as error:
                self._errors[name] = told = error.again()
                if told.code == "E_SCHEMA":
                    from kolm.bundle import other_shape  # which few bundles have

                    told.hint = other_shape.hint(lambda: self.raw(RECEIPT))
        return self._errors[name]

    def obstacle(self, name: str) -> str | None:
        """Why a check cannot read this member, or None when it can."""
        if name not in self:
            return f"{name} is not in the bundle"
        error = self.error_of(name)
        if error is None:
            return None
        return f"{name} could not be read ({'V07' if error.code in NOT_CANONICAL else 'V06'})"

    def value(self, name: str) -> Any:
        """A member as it is parsed: a document, `Rows`, `SnapshotLines`, tensors or text.

        Raises:
            KolmError: it is missing, or could not be parsed.
        """
        error = self.error_of(name)
        if error is not None:
            raise error.again()
        return self._values[name] if name in self._values else self._parse(name)

    def document(self, name: Name[D]) -> D:
        """A JSON member."""
        document: D = self.value(name)
        return document

    def rows(self, name: Name[D]) -> Iterator[D]:
        """The rows of a JSON Lines member, in order."""
        value = self.value(name)
        rows = value.rows() if isinstance(value, SnapshotLines) else value
        return cast("Iterator[D]", iter(rows))

    def lines(self, name: str) -> Iterator[bytes]:
        """The stored lines of a JSON Lines member, without their newlines."""
        return canonical.split_lines(self.raw(name), where=name)

    def _parse(self, name: str) -> Any:
        data, kind = self.raw(name), members.kind_of(name)
        kind.limit.hold(len(data), where=name)
        if name == LINES:
            return read_snapshot_lines(data, where=name)
        if kind.schema is not None and kind.content is ContentKind.LINES:
            keep = len(data) <= self._room_bytes
            self._room_bytes -= len(data) if keep else 0
            return read_rows(kind.schema, data, name, keep=keep)
        if kind.schema is not None:
            value = canonical.loads_canonical(data, where=name)
            return schema.check(kind.schema, value, where=name)
        if kind.content is ContentKind.PEFT_CONFIG:
            return canonical.loads(data, where=name, floats=True)  # V25 compares its bytes
        if kind.content is ContentKind.TENSORS:
            return tensors.parse_header(data, where=name)
        if kind.content is ContentKind.MARKDOWN:
            return _read_text(data, name)
        return None  # an image: its digest is its identity


def read_rows(kind: DocumentKind[D], data: memoryview | bytes, name: str, *, keep: bool) -> Rows[D]:
    """The rows of a JSON Lines text, strict and canonical, each of which fits its schema.

    Rows may be shared, and nobody changes one: most of examples.jsonl is the same few lines.

    Args:
        kind: of a row.
        data: the text.
        name: of the member.
        keep: hold the parsed rows; otherwise they are parsed again each time.

    Raises:
        Refused: one that is not.
    """
    problem_of = schema.checker(kind)
    rows: list[D] = []
    number, fitting = 0, set[bytes]()
    for number, line, value in canonical.read_lines(data, where=name, shared=True):
        if line not in fitting:
            if problem_of(value) is not None:
                schema.check(kind, value, where=f"{name}:{number}")
            if len(fitting) < MOST_FITTING and len(line) <= LONGEST_FITTING_BYTES:
                fitting.add(line)
        if keep:
            rows.append(cast("D", value))
    return Rows(data, number, rows if keep else None)


def _read_text(data: memoryview, name: str) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise Refused("E_MEMBER_TEXT", f"not UTF-8: {error.reason}", where=name) from None
