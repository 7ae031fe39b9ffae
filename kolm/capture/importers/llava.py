"""Capture: rows in one JSON array, as LLaVA and ShareGPT publish them; lines are taken too.

An object that wraps the array (``{"data": [...]}``) counts as the array.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kolm.capture import reading
from kolm.capture.drafts import BadRow, Defaults, Draft
from kolm.capture.importers.drafting import drafts
from kolm.capture.sources import Folder


def rows(path: Path, folder: Folder, defaults: Defaults) -> Iterator[Draft | BadRow]:
    """The rows of a file.

    Raises:
        Refused: the array does not end, or is too large.
    """
    return drafts(reading.objects(path), folder, defaults)
