"""Capture: a pack: captures of one party on which another's bundle is scored.

A pack is what a snapshot calls its eval side, and has the identity of one: the root of the lines
that its captures have there. So whoever compiles with the pack as the eval side, or scores a bundle
on it afterwards, states the same root.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from kolm import canonical
from kolm.capture import hygiene
from kolm.capture.naming import name_of
from kolm.capture.snapshot import Row
from kolm.capture.store import CaptureStore, StoredCapture
from kolm.counting import counted
from kolm.digest import Digest
from kolm.errors import Refused
from kolm.format.seeds import pack_root


class Pack(NamedTuple):
    """What a pack is called by, and how large it is."""

    root: Digest
    captures: int
    images: int


def root_of(stored: Iterable[StoredCapture]) -> Digest:
    """The root of the lines that captures have when all of them are scored.

    Args:
        stored: by ascending id, as a store gives them.
    """
    rows = (
        Row(row.id, tuple((image.file, image.pixels) for image in row.capture.images), "eval")
        for row in stored
    )
    return pack_root((row.split, canonical.dumps(row.document())) for row in rows)


def pack_of(store: CaptureStore) -> Pack:
    """All captures of a store as a pack.

    Raises:
        Refused: it is empty, a capture states another side than eval, or captures contradict or
            repeat each other, so that no snapshot could have them as its eval side.
    """
    stored = list(store.rows())
    if not stored:
        raise Refused("E_SNAPSHOT_EMPTY", "the store holds no captures", where=str(store.folder))
    others = [row for row in stored if row.capture.split != "eval"]
    if others:
        raise Refused(
            "E_PACK_SIDE",
            f"{counted(len(others), 'capture')} that do not state the side eval",
            where=name_of(others[0].id, store.names()),
            expected="a store of captures that are all to be scored",
            found=others[0].capture.split or "no side",
            hint="import the rows into a store of their own: "
            "kolm capture import FILE --split eval --store DIR",
        )
    hygiene.demand_clean(stored)
    hygiene.demand_distinct(stored)
    images = {image.file for row in stored for image in row.capture.images}
    return Pack(root_of(stored), len(stored), len(images))
