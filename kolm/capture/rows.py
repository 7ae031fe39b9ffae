"""Capture: rows straight from Python, for notebooks and `kolm.compile(spec, rows=[…])`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path

from kolm.capture import extras, fields, png, shapes
from kolm.capture.drafts import BadRow, Defaults, Draft, FileImage, ImageSource, InlineImage, Row
from kolm.capture.sources import Folder, image_source, load
from kolm.errors import Refused
from kolm.records.capture import Source

SOURCE = Source(kind="python", name="")


def from_python(
    rows: Iterable[Row], *, defaults: Defaults | None = None
) -> Iterator[Draft | BadRow]:
    """Rows as dicts: the keys of a JSON Lines row, with more kinds of image.

    Args:
        rows: ``{"image": …, "prompt": str, "response": str}`` and the optional keys of the JSONL
            importer. An image is a PIL image, a path, bytes of an image file, base64, a data URI,
            or a list of these. A PIL image is kept as an uncompressed RGB PNG of its pixels.
        defaults: what rows say by not saying it.
    """
    folder = Folder(None)

    def read_image(value: object, where: str) -> ImageSource:
        return source_of(value, folder, where=where)

    for number, row in enumerate(rows, 1):
        where = f"row {number}"
        try:
            if not isinstance(row, dict):
                raise fields.wrong("row", "a dict", row, where)
            yield shapes.draft_of(row, read_image, defaults or Defaults(source=SOURCE), where=where)
        except Refused as error:
            yield BadRow.of(error, where)


def read_image(value: object) -> bytes:
    """The bytes of one image as Python hands it over: path, bytes, base64, data URI, PIL image.

    Raises:
        Refused: it is none of these, or its file cannot be read.
    """
    return load(source_of(value, where="image"), where="image")


def source_of(value: object, folder: Folder | None = None, *, where: str) -> ImageSource:
    """Where the bytes of an image are that Python hands over.

    Raises:
        Refused: it is no image, or names one in a way that cannot be read.
    """
    if isinstance(value, str):
        return image_source(value, folder or Folder(None), where=where)
    if isinstance(value, PathLike):
        return FileImage(path=Path(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return InlineImage(data=bytes(value))
    if isinstance(value, extras.pillow().Image):
        return InlineImage(data=png.encode(value, where=where))
    raise fields.wrong("image", "a PIL image, a path, bytes, base64 or a data URI", value, where)
