"""Capture: what every importer of a file does with its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from kolm.capture import fields, shapes
from kolm.capture.drafts import BadRow, Defaults, Draft, ImageSource, InlineImage
from kolm.capture.reading import Located
from kolm.capture.sources import Folder, image_source
from kolm.errors import Refused, Usage, did_you_mean

_KEYS_SHOWN = 20
_KEYS_KEPT = 1_000  # of rows that have not yet shown what is to be renamed


def drafts(
    located: Iterable[Located], folder: Folder, defaults: Defaults
) -> Iterator[Draft | BadRow]:
    """Drafts of rows with their places; an image is named by a text, or is its file's bytes.

    Raises:
        Usage: ``E_IMPORT_RENAME`` after the last row, where none has a key that is to be renamed.
    """
    absent, present = set(defaults.renamed), dict[str, None]()

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
        absent -= value.keys()
        if absent and len(present) < _KEYS_KEPT:
            present.update(dict.fromkeys(value))
        try:
            yield shapes.draft_of(value, read_image, defaults, where=where)
        except Refused as error:
            yield BadRow.of(error, where)
    if absent and present:
        raise _no_such_key(min(absent), [key[:80] for key in present])


def _no_such_key(key: str, present: list[str]) -> Usage:
    return Usage(
        "E_IMPORT_RENAME",
        f"no row says anything under {key!r}",
        where="--rename",
        expected=f"one of {', '.join(present[:_KEYS_SHOWN])}",
        found=key,
        hint=did_you_mean(key, present),
    )
