"""The `snapshot` document: the header of an immutable, split set of captures.

Its shape is schemas/snapshot.schema.json, that of a line schemas/snapshot_row.schema.json, and
their rules are docs/format/snapshot.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from kolm.digest import Digest
from kolm.records.sides import Placed

SCHEMA = "urn:kolm:snapshot:v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How captures were put on sides.

    Attributes:
        kind: ``official`` (the data's own split) or ``hash``.
        validation: share of captures held out for early stopping, a decimal string.
        eval: share held out for scoring, a decimal string; a hash rule has it, an official has not.
    """

    kind: str
    validation: str
    eval: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The size of one side; `images` counts distinct files."""

    captures: int
    images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """The three sides, and the captures that are on none."""

    eval: Side
    none: Side
    train: Side
    validation: Side


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicates:
    """How many eval images have a near twin in train, and what was to happen about it.

    Attributes:
        dropped: train captures that are on no side because an image of theirs has a near twin
            among the eval images.
    """

    across_splits: int
    dropped: int
    method: str
    policy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotHeader:
    """Counts, split rule and the Merkle root over the lines."""

    captures: int
    images: int
    near_duplicates: NearDuplicates
    root: Digest
    rule: Rule
    splits: Sides
    schema: str = SCHEMA


@dataclass(frozen=True, slots=True)
class RowImage:
    """An image of a capture, by file and by look.

    Attributes:
        twins: the smallest pixel digest among its near twins, directly or through others; None
            unless near twins are grouped.
    """

    file: Digest
    pixels: Digest
    twins: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotRow:
    """One line: a capture, its images and its side."""

    capture: Digest
    images: tuple[RowImage, ...]
    split: Placed
