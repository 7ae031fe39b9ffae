"""Bytes and captures put into a store in one call."""

from __future__ import annotations

from collections.abc import Iterable

from kolm.capture.addition import Added
from kolm.capture.store import CaptureStore
from kolm.digest import Digest
from kolm.records.capture import Capture
from kolm.store.blobs import BlobStore


def put(blobs: BlobStore, data: bytes) -> Digest:
    """Keep bytes and give their digest."""
    with blobs.batch() as batch:
        name = batch.add(data)
        batch.commit()
    return name


def add(store: CaptureStore, captures: Iterable[Capture], images: Iterable[bytes] = ()) -> Added:
    """Add captures with the files of their images: all of them or none."""
    with store.adding() as addition:
        for data in images:
            addition.image(data)
        for capture in captures:
            addition.capture(capture)
        return addition.commit()
