"""The compositions: pictures of cases, from bundles that publish them or from a capture store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kolm.bundle.reader import Bundle
from kolm.digest import Digest
from kolm.format.names import eval_image
from kolm.report.facts import Pictures

if TYPE_CHECKING:
    from kolm.capture.store import CaptureStore


@contextmanager
def showing(bundles: Sequence[Bundle], captures: str | Path | None) -> Iterator[Pictures]:
    """The bytes of pictures by the digest of their file, for as long as a store is open.

    Args:
        bundles: asked first; those that publish their pictures have them.
        captures: folder of a capture store, or None.

    Raises:
        Unreadable: there is no store.
    """
    if captures is None:
        yield lambda file: _published(bundles, file)
        return
    from kolm.capture.store import CaptureStore

    with CaptureStore.open_to_read(Path(captures)) as store:
        yield lambda file: _published(bundles, file) or _held(store, file)


def _published(bundles: Sequence[Bundle], file: str) -> bytes | None:
    name = eval_image(file)
    return next((bytes(found.member(name)) for found in bundles if name in found.names), None)


def _held(store: CaptureStore, file: str) -> bytes | None:
    name = Digest(file)
    return store.read_image(name) if store.blobs.has(name) else None
