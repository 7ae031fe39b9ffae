"""Capture: what every importer of a file does with its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from kolm.capture import fields, shapes
from kolm.capture.drafts import BadRow, Defaults, Draft, ImageSource, InlineImage
from kolm.capture.reading import Located
from kolm.capture.sources import Folder, image_source
from kolm.errors import Refused


def drafts(
    located: Iterable[Located], folder: Folder, defaults: Defaults
) -> Iterator[Draft | BadRow]:
    """Drafts of rows with their places; an image is named by a text, or is its file's bytes."""

    def read_image(value: Any, where: str) -> ImageSource:
        if isinstance(value, bytes):
            return InlineImage(data=value)
        if not isinstance(value, str):
            raise fields.wrong("image", "a path, a data URI or base64", value, where)
        return image_source(value, folder, where=where)

    for where, value in located:
        if isinstance(value, BadRow):
            yield value
            continue
        try:
            yield shapes.draft_of(value, read_image, defaults, where=where)
        except Refused as error:
            yield BadRow.of(error, where)
