"""Scoring: which cases of a pack a bundle was trained on, by the digests in its snapshot.

docs/format/kscore.md, K8.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from kolm.format.seeds import LEARNING_SIDES
from kolm.score.cases import Case

if TYPE_CHECKING:
    from kolm.records.documents import KscorePackOverlap, SnapshotRow


class Learned(NamedTuple):
    """What training and early stopping saw: ids of captures, and pictures by pixels to file."""

    captures: frozenset[str]
    pictures: Mapping[str, str]


def learned(rows: Iterable[SnapshotRow]) -> Learned:
    """What the lines of a snapshot say was learned from."""
    captures: set[str] = set()
    pictures: dict[str, str] = {}
    for row in rows:
        if row["split"] in LEARNING_SIDES:
            captures.add(row["capture"])
            pictures.update((image["pixels"], image["file"]) for image in row["images"])
    return Learned(frozenset(captures), pictures)


def measure_overlap(cases: Sequence[Case], seen: Learned) -> KscorePackOverlap:
    """How much of a pack was learned from; near twins are not looked at."""
    same = [case for case in cases if case.case in seen.captures]
    showing = [case for case in cases if any(image in seen.pictures for image in case.images)]
    return {
        "cases": len(cases),
        "seen_cases": len({case.case for case in (*same, *showing)}),
        "captures": len(same),
        "images": len(seen_images(cases, seen)),
        "near_twins": None,
    }


def seen_images(cases: Iterable[Case], seen: Learned) -> set[str]:
    """The pictures of a pack, by pixels, that training saw."""
    return {image for case in cases for image in case.images if image in seen.pictures}
