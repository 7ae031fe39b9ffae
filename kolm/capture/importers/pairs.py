"""Capture: what importers of preference rows share: a better and a worse answer to one prompt.

Such rows have a shape of their own and come in any file that holds rows. An importer of them makes
rows of `kolm.capture.shapes` out of each, with the worse answer under ``rejected``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from kolm import canonical
from kolm.capture import fields
from kolm.capture.drafts import BadRow, Defaults, Draft, Reshaped, Row
from kolm.capture.sources import Folder
from kolm.errors import Refused

IMAGES = ("image", "images", "image_path", "file_name")
_KEPT = (*fields.COMMON, *IMAGES, "placeholder", "system", "id", "model")
# Formats that hold rows of any shape, beside lines and arrays, which are told apart by what is
# there; the others are data sets with files of their own.
_HOLDERS = ("csv", "tsv", "parquet", "hf-disk", "folder")

Turn = dict[str, Any]


def reader(
    keys: frozenset[str], own: Callable[[Row, str], Row]
) -> Callable[[Path, Folder, Defaults], Iterator[Draft | BadRow]]:
    """What reads the rows of a file that are in a shape of their own.

    Args:
        keys: of the shape.
        own: makes a row of it one of kolm's; it is also given where the row stands.
    """

    def rows(path: Path, folder: Folder, defaults: Defaults) -> Iterator[Draft | BadRow]:
        from kolm.capture import importers

        form = importers.guess(path)
        form = form if form in _HOLDERS else "llava"
        shaped = replace(defaults, reshaped=Reshaped(keys, own))
        return importers.TABLE[form].read(path, folder, shaped)

    return rows


def check_keys(row: Row, keys: Collection[str], *, where: str) -> None:
    """Refuse a key that neither the shape nor every row has."""
    fields.check_keys(row, frozenset((*keys, *_KEPT)), where=where)


def rest(row: Row, keys: Collection[str]) -> dict[str, object]:
    """What of a row every format shares."""
    return {key: value for key, value in row.items() if key not in keys}


def required(row: Row, key: str, where: str) -> Any:
    """A value that a row has to have."""
    value = row.get(key)
    if value is None:
        raise Refused("E_ROW_MISSING_KEY", f"the row has no {key!r}", where=where)
    return value


def turns_of(value: object, key: str, role: str, where: str) -> list[Turn]:
    """A text as the one turn of a role, or turns as they stand, without what is null in them."""
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list | tuple) or not value:
        raise fields.wrong(key, "a text or a list of turns", value, where)
    for turn in value:
        if not isinstance(turn, dict):
            raise fields.wrong(key, "a list of turns", turn, where)
    return [{key: said for key, said in turn.items() if said is not None} for turn in value]


def answer_of(turn: Turn, key: str, where: str) -> str:
    """What an assistant's turn says.

    Raises:
        Refused: it is another's turn, or shows a picture.
    """
    speaker = turn.get("role", turn.get("from"))
    if str(speaker).lower() not in ("assistant", "gpt", "chatgpt", "bot", "model"):
        raise fields.wrong(key, "an answer of the assistant", speaker, where)
    said = turn.get("content", turn.get("value"))
    if isinstance(said, list | tuple):
        parts = [part if isinstance(part, dict) else {} for part in said]
        if not parts or any(part.get("type") != "text" for part in parts):
            raise fields.wrong(key, "an answer of texts alone", said, where)
        return "".join(fields.text(part, "text", where=where) for part in parts)
    if not isinstance(said, str):
        raise fields.wrong(key, "a text", said, where)
    return said


def parsed(text: str, key: str, where: str) -> Any:
    """A value that a text holds as JSON."""
    try:
        return canonical.loads(text.encode("utf-8", "replace"), where=where, floats=True)
    except Refused as error:
        raise fields.wrong(key, f"JSON ({error.message})", text, where) from None
