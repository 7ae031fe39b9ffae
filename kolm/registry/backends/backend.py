"""What a place must offer to be a registry. It stores bytes and decides nothing about trust."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from kolm.bundle.held import Held
from kolm.bundle.streams import Readable
from kolm.digest import Digest
from kolm.errors import KolmError


class StoredEntries(NamedTuple):
    """What a place holds of a name.

    Attributes:
        entries: the bytes that may be entries, by number.
        taken: numbers that hold something that cannot be read as an entry.
        problems: what is wrong with those.
    """

    entries: dict[int, bytes]
    taken: frozenset[int]
    problems: tuple[KolmError, ...]


class Backend(Protocol):
    """Named histories of entries, and files by their digest."""

    @property
    def where(self) -> str:
        """The place, for errors."""

    @property
    def identity(self) -> str:
        """The one spelling of the place, by which a reader remembers it."""

    def names(self) -> list[str]:
        """Every name with at least one entry, sorted."""

    def entries(self, name: str) -> StoredEntries:
        """What is stored of a name."""

    def append(self, name: str, sequence: int, data: bytes) -> bool:
        """Store entry `sequence` of a name unless there is one; False when there was.

        After True the entry survives a crash; after a crash in between, either it is there whole
        or it is not there at all.
        """

    def keep(self, held: Held) -> None:
        """Make a copy of a file available under its digest, for good; a damaged one is replaced.

        The bytes are the ones that were verified; what lies at the file's path by now is not read.
        """

    def blob(self, content: Digest) -> AbstractContextManager[Readable]:
        """What should be the bytes of a digest, to read once; the reader checks that they are.

        Raises:
            Unreadable: the place does not have it; said on entering.
        """

    def blobs(self) -> Iterator[Digest]:
        """The digest of every kept file."""

    def strays(self) -> Iterator[KolmError]:
        """A finding for everything that has no place in a registry."""
