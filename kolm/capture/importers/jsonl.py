"""Capture: rows as one JSON object per line, in any of the shapes of `kolm.capture.shapes`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kolm.capture import reading
from kolm.capture.drafts import BadRow, Defaults, Draft
from kolm.capture.importers.drafting import drafts
from kolm.capture.sources import Folder


def rows(path: Path, folder: Folder, defaults: Defaults) -> Iterator[Draft | BadRow]:
    """The rows of a file; blank lines are skipped."""
    return drafts(reading.lines(path), folder, defaults)
