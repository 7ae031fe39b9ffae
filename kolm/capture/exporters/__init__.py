"""Capture: exporters, one file a format: captures to files that import to the same captures again.

Each format has `text(rows)`, which yields the file's text; images are written as their original
bytes into a folder beside it. A new format is one file here and one line in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from kolm import digest, outputs, system
from kolm.capture.images import SUFFIXES
from kolm.capture.store import CaptureStore, Stored
from kolm.digest import Digest, hex_of
from kolm.errors import Usage
from kolm.events import Reporter, Silent
from kolm.records.capture import Image

FORMATS = ("jsonl", "llava")
STAGE = "export"
REPORT_EVERY_ROWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export wrote."""

    file: Path
    folder: Path
    captures: int
    images: int


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
        form: a name in `FORMATS`.
        tags: only captures with all of these.
        replace: overwrite an existing file.
        reporter: hears how far it is.

    Raises:
        Usage: ``E_TARGET_EXISTS``: another file is there and `replace` is off; or there are images
            and the target is a device or a pipe.
    """
    outputs.demand_free(target, force=replace)
    with system.naming(target):
        alone = outputs.is_stream(target)
    told = reporter or Silent()
    told.started(STAGE, len(store), "captures")
    folder = target.parent / f"{target.stem}_images"
    written: set[Digest] = set()
    count = 0

    def rows() -> Iterator[Stored]:
        nonlocal count
        for row in store.rows(tags=tags):
            for image in row.capture.images:
                if alone:
                    raise _no_place_for_images(target)
                if image.file not in written:
                    written.add(image.file)
                    _write_image(store, image, folder, force=replace)
            count += 1
            if count % REPORT_EVERY_ROWS == 0:
                told.advanced(STAGE, count)
            yield row

    writer = import_module(f"kolm.capture.exporters.{form}")
    with outputs.writing(target, force=replace) as stream:
        for piece in writer.text(rows(), folder.name):
            stream.write(piece)
    told.finished(STAGE, captures=count, images=len(written))
    return Exported(file=target, folder=folder, captures=count, images=len(written))


def image_name(image: Image) -> str:
    """The file name of an exported image: its digest and the suffix of its format."""
    return hex_of(image.file) + SUFFIXES[image.media_type]


def _write_image(store: CaptureStore, image: Image, folder: Path, *, force: bool) -> None:
    path = folder / image_name(image)
    data = store.read_image(image.file)
    with system.naming(path):
        if not (path.is_file() and digest.of_file(path) == image.file):
            outputs.write(path, data, force=force)


def _no_place_for_images(target: Path) -> Usage:
    return Usage(
        "E_EXPORT_IMAGES",
        "images go into a folder beside the file, and a device or pipe has none",
        where=str(target),
        hint="export into a file",
    )
