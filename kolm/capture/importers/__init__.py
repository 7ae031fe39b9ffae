"""Capture: importers, one file a format. Each has `rows`, which yields drafts and bad rows.

A new format is one file here and one line in `FORMATS`; it inherits the contract tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

from kolm.capture.drafts import BadRow, Defaults, Draft

FORMATS = ("jsonl", "llava")  # the formats that are files; easy-vqa is an installed package

Reader = Callable[..., Iterator[Draft | BadRow]]


def of_format(name: str) -> Reader:
    """The `rows(path, folder, defaults)` function of a file format in `FORMATS`."""
    reader: Reader = import_module(f"kolm.capture.importers.{name}").rows
    return reader


def guess(path: Path) -> str:
    """The format of a file by its name: JSON Lines hold prompt/response rows, JSON is LLaVA's."""
    return "llava" if path.suffix.lower() == ".json" else "jsonl"


def rows(
    path: Path, *, form: str | None = None, images: Path | None = None, defaults: Defaults
) -> Iterator[Draft | BadRow]:
    """Read a file to import.

    Args:
        path: the file.
        form: a name in `FORMATS`, or None to go by the file's name.
        images: the folder that image paths are relative to; default: the file's own.
        defaults: what rows say by not saying it.
    """
    from kolm.capture import sources

    sources.import_file(path)
    folder = sources.Folder(images if images is not None else path.parent)
    return of_format(form or guess(path))(path, folder, defaults)
