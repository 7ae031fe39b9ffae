"""The documents of a bundle, each parsed once, strictly, for every check that reads it.

A member that is not strict JSON or does not fit its schema (V06), or is not in its canonical bytes
(V07), is kept as its error; the checks that read it are then not checked. To the functions of
`kolm.bundle.references` this stands in for the bundle's own `Documents`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Generic, NamedTuple, TypeVar, cast

from kolm import canonical, schema
from kolm.bundle import documents, limits, members, tensors
from kolm.bundle.members import ContentKind
from kolm.errors import KolmError, Refused
from kolm.format.names import Name
from kolm.format.versions import CURRENT
from kolm.schema import DocumentKind
from kolm.verify.snapshot_lines import SnapshotLines, read_snapshot_lines

D = TypeVar("D")
SNAPSHOT_LINES: Final = "snapshot.jsonl"
NOT_CANONICAL: Final = frozenset({"E_JSON_NOT_CANONICAL", "E_TENSORS_CANONICAL"})


class Loaded(NamedTuple):
    """A parsed member, or why it could not be parsed."""

    value: Any = None
    error: KolmError | None = None


# Parsed rows take up to fifteen times their bytes. What is beyond this, of all members together,
# is parsed again each time that somebody goes through it, so that an audit stays under the file's
# size and 256 MiB.
KEPT_BYTES: Final = 8 * limits.MIB


class Rows(Generic[D]):
    """The rows of a JSON Lines member, each of which has been checked."""

    def __init__(self, data: memoryview | bytes, name: str, count: int, kept: list[D] | None):
        self._data = data
        self._name = name
        self._count = count
        self._kept = kept

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[D]:
        if self._kept is not None:
            return iter(self._kept)
        again = canonical.read_lines(self._data, where=self._name)
        return (cast("D", row) for _, _, row in again)


class ParsedDocuments(documents.Documents):
    """The members of a bundle by name, parsed when first asked for."""

    def __init__(self, contents: Mapping[str, memoryview], artifact_type: str = CURRENT) -> None:
        super().__init__(contents, artifact_type)
        self._loaded: dict[str, Loaded] = {}
        self._room_bytes = KEPT_BYTES

    def load(self, name: str) -> Loaded:
        """The parsed member, or its error; the value is not kept of what may come in thousands."""
        loaded = self._loaded.get(name)
        if loaded is None:
            try:
                value = self._parse(name)
                loaded = Loaded() if members.kind_of(name).several else Loaded(value=value)
            except KolmError as error:
                loaded = Loaded(error=error.again())
            self._loaded[name] = loaded
        return loaded

    def value(self, name: str) -> Any:
        """The parsed member.

        Raises:
            KolmError: it could not be parsed.
        """
        loaded = self.load(name)
        if loaded.error is not None:
            raise loaded.error.again()
        return self._parse(name) if loaded.value is None else loaded.value

    def obstacle(self, name: str) -> str | None:
        """Why a check cannot read this member, or None when it can."""
        if name not in self:
            return f"{name} is not in the bundle"
        error = self.load(name).error
        if error is None:
            return None
        return f"{name} could not be read ({'V07' if error.code in NOT_CANONICAL else 'V06'})"

    def document(self, name: Name[D]) -> D:
        """A JSON member as a value."""
        value: D = self.value(name)
        return value

    def rows(self, name: Name[D]) -> Iterator[D]:
        """The rows of a JSON Lines member."""
        value = self.value(name)
        return cast(
            "Iterator[D]", iter(value.rows() if isinstance(value, SnapshotLines) else value)
        )

    def lines(self, name: str) -> Iterator[bytes]:
        """The stored lines of a JSON Lines member, without their newlines."""
        if name == SNAPSHOT_LINES:
            return iter(self.value(name).leaves)
        return super().lines(name)

    def _parse(self, name: str) -> Any:
        data, kind = self.raw(name), members.kind_of(name)
        kind.limit.hold(len(data), where=name)
        if name == SNAPSHOT_LINES:
            return read_snapshot_lines(data, where=name)
        if kind.schema is not None and kind.content is ContentKind.LINES:
            keep = len(data) <= self._room_bytes
            self._room_bytes -= len(data) if keep else 0
            return read_rows(kind.schema, data, name, keep=keep)
        if kind.schema is not None:
            return _read_document(kind.schema, data, name)
        if kind.content is ContentKind.PEFT_CONFIG:
            return canonical.loads(data, where=name, floats=True)  # V25 compares its bytes
        if kind.content is ContentKind.TENSORS:
            return tensors.parse_header(data, where=name)
        if kind.content is ContentKind.MARKDOWN:
            return _read_text(data, name)
        return None  # an image: its digest is its identity


def _read_document(kind: DocumentKind[object], data: memoryview, name: str) -> object:
    return schema.check(kind, canonical.loads_canonical(data, where=name), where=name)


def read_rows(kind: DocumentKind[D], data: memoryview | bytes, name: str, *, keep: bool) -> Rows[D]:
    """The rows of a JSON Lines text, strict and canonical, each of which fits its schema.

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
    number = 0
    for number, _, value in canonical.read_lines(data, where=name):
        if problem_of(value) is not None:
            schema.check(kind, value, where=f"{name}:{number}")
        if keep:
            rows.append(cast("D", value))
    return Rows(data, name, number, rows if keep else None)


def _read_text(data: memoryview, name: str) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise Refused("E_MEMBER_TEXT", f"not UTF-8: {error.reason}", where=name) from None
