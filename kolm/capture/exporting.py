"""Capture: captures out of a store into a file, and their images into it or beside it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from kolm import file_digests, outputs, system
from kolm.capture.exporters import TABLE
from kolm.capture.images import SUFFIXES
from kolm.capture.store import CaptureStore, StoredCapture
from kolm.counting import counted
from kolm.digest import Digest, hex_of
from kolm.errors import Usage
from kolm.events import Reporter, Silent
from kolm.records.capture import Image

STAGE = "export"
REPORT_EVERY_ROWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export wrote; the folder is there if images stand beside the file.

    `left_out` captures have no rejected answer, which the format needs.
    """

    file: Path
    folder: Path | None
    captures: int
    images: int
    left_out: int = 0


class Images:
    """The images of the captures that are exported.

    Args:
        store: where they are kept.
        target: the file that is written.
        force: replace other files of their names.
    """

    def __init__(self, store: CaptureStore, target: Path, *, force: bool) -> None:
        self.folder = target.parent / f"{target.stem}_images"
        self.shown: set[Digest] = set()
        self.beside = False  # in the folder, not within the file
        self._store, self._target, self._force = store, target, force
        with system.naming(target):
            self._alone = outputs.is_stream(target)

    def path(self, image: Image) -> str:
        """An image's path from the file on; it is written there, once.

        Raises:
            Usage: the file is a device or a pipe, or another file has the image's name.
        """
        if self._alone:
            raise _no_place_for_images(self._target)
        name, self.beside = image_name(image), True
        if image.file not in self.shown:
            data, path = self.data(image), self.folder / name
            with system.naming(path):
                if not (path.is_file() and file_digests.of_file(path) == image.file):
                    outputs.write(path, data, force=self._force)
        return f"{self.folder.name}/{name}"

    def data(self, image: Image) -> bytes:
        """The original bytes of an image."""
        self.shown.add(image.file)
        return self._store.read_image(image.file)


def export(
    store: CaptureStore,
    target: Path,
    *,
    form: str,
    tags: Collection[str] = (),
    replace: bool = False,
    reporter: Reporter | None = None,
) -> Exported:
    """Write captures and their images so that an import gives the same captures.

    Args:
        store: where from.
        target: the file; images go to the folder ``<stem>_images`` beside it.
        form: a name in `TABLE`.
        tags: only captures with all of these.
        replace: overwrite an existing file.
        reporter: hears how far it is.

    Raises:
        Usage: ``E_TARGET_EXISTS``: another file is there and `replace` is off; or there are images
            and the target is a device or a pipe.
    """
    outputs.demand_free(target, force=replace)
    images = Images(store, target, force=replace)
    told = reporter or Silent()
    told.started(STAGE, len(store), "captures")
    count, left_out = 0, 0

    def rows() -> Iterator[StoredCapture]:
        nonlocal count, left_out
        for row in store.rows(tags=tags):
            if TABLE[form].pairs and row.capture.rejected is None:
                left_out += 1
                continue
            yield row
            count += 1
            if count % REPORT_EVERY_ROWS == 0:
                told.advanced(STAGE, count)

    with outputs.writing(target, force=replace) as stream:
        for piece in TABLE[form].pieces(rows(), images):
            stream.write(piece)
    told.finished(STAGE, captures=count, images=len(images.shown))
    if left_out:
        told.warned(f"{counted(left_out, 'capture')} without a rejected answer left out")
    return Exported(
        file=target,
        folder=images.folder if images.beside else None,
        captures=count,
        images=len(images.shown),
        left_out=left_out,
    )


def image_name(image: Image) -> str:
    """The file name of an exported image: its digest and the suffix of its format."""
    return hex_of(image.file) + SUFFIXES[image.media_type]


def _no_place_for_images(target: Path) -> Usage:
    return Usage(
        "E_EXPORT_IMAGES",
        "images go into a folder beside the file, and a device or pipe has none",
        where=str(target),
        hint="export into a file",
    )
