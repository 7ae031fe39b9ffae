"""The `entry` document: what a name and a version of a registry point to, and what came before.

Written by `kolm registry publish` as the predicate of a signed claim. Its shape is
schemas/entry.schema.json; its rules are docs/format/entry.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from kolm.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReference:
    """One exact `.kolm` file: the bundle with the claims it had when it was published."""

    digest: Digest
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a name's history.

    Attributes:
        name: ``demo`` or ``owner/demo``.
        version: a semantic version.
        bundle: the content id: digest of the bundle's manifest.
        file: the file that carries it.
        claims: digests of the claims in that file, sorted; for one bundle they only grow.
        previous: digest of the last entry before it, as it is stored; None for the first.
        sequence: place in the history, from 1.
        state: ``active``, ``yanked`` or ``withdrawn``.
    """

    name: str
    version: str
    bundle: Digest
    file: FileReference
    claims: tuple[Digest, ...]
    previous: Digest | None
    sequence: int
    state: str
