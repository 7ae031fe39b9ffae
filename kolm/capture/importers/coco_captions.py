"""Capture: captions of COCO: one JSON file of images and annotations, and a folder of pictures.

X. Chen et al., "Microsoft COCO Captions" (2015). A picture has about five captions, and several
answers to one prompt about one picture contradict each other: the one with the lowest id is the
response, and the others are further references.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kolm.capture import fields, reading
from kolm.capture.drafts import BadRow, Defaults, Draft
from kolm.capture.importers.drafting import drafts
from kolm.capture.importers.option import Option
from kolm.capture.sources import Folder

OPTIONS = (Option("prompt", "the question about every picture", required=True),)


def rows(
    path: Path, folder: Folder, defaults: Defaults, *, prompt: str
) -> Iterator[Draft | BadRow]:
    """A row for each picture that has a caption; a picture without one is a bad row."""
    return drafts(_images(path, prompt, _captions(path)), folder, defaults)


def _captions(path: Path) -> dict[int, list[str]]:
    """What people said of each picture, the first of them first."""
    found: dict[int, list[tuple[int, str]]] = {}
    for where, value in reading.members(path, "annotations"):
        if isinstance(value, BadRow):
            raise value.error()
        image, number = (_number(value, key, where) for key in ("image_id", "id"))
        caption = fields.text(value, "caption", where=where)
        found.setdefault(image, []).append((number, caption))
    return {image: [caption for _, caption in sorted(said)] for image, said in found.items()}


def _images(path: Path, prompt: str, captions: dict[int, list[str]]) -> Iterator[reading.Located]:
    for where, value in reading.members(path, "images"):
        if isinstance(value, BadRow):
            yield where, value
            continue
        number = value.get("id")
        if isinstance(number, int) and number in captions:
            named = {"image": value.get("file_name"), "prompt": prompt}
            response, *others = captions[number]
            yield where, {**named, "response": response, "references": others}
        else:
            reason = "the picture has no caption"
            yield where, BadRow(where=where, code="E_ROW_MISSING_KEY", reason=reason)


def _number(value: dict[str, Any], key: str, where: str) -> int:
    number = value.get(key)
    if type(number) is not int:
        raise fields.wrong(key, "a whole number", number, where)
    return number
