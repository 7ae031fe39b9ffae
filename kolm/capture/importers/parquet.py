"""Capture: rows of Parquet files: one file, or a folder of them as the Hugging Face hub has it.

An image is a structure of bytes and path, bytes, or a path. In a folder, files whose names begin
with a side (``train-00000-of-00002.parquet``) give it to rows that state none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from kolm.capture import arrow, fields, reading
from kolm.capture.drafts import BadRow, Defaults, Draft
from kolm.capture.importers.drafting import drafts
from kolm.capture.sources import Folder


def rows(path: Path, folder: Folder, defaults: Defaults) -> Iterator[Draft | BadRow]:
    """The rows of the file, or of the folder's files in the order of their names.

    Raises:
        Lacking: pyarrow is not installed.
        Refused: not Parquet.
    """
    arrow.library()
    return _rows(path, folder, defaults)


def _rows(path: Path, folder: Folder, defaults: Defaults) -> Iterator[Draft | BadRow]:
    if not path.is_dir():
        yield from drafts(arrow.parquet(path, reading.name_of(path), defaults), folder, defaults)
        return
    for file in sorted([*path.glob("*.parquet"), *path.glob("data/*.parquet")]):
        side = fields.SIDES.get(re.split(r"[-_.]", file.name)[0])
        stated = replace(defaults, split=defaults.split or side)
        yield from drafts(arrow.parquet(file, file.name, stated), folder, stated)
