"""Capture: importers, one file a format. Each has `rows`, which yields drafts and bad rows.

A new format is one file here and one line in `TABLE`: the command line's choices, its help and the
contract tests read the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from kolm.capture.drafts import BadRow, Defaults, Draft
from kolm.capture.sources import Folder

Read = Callable[[Path, Folder, Defaults], Iterator[Draft | BadRow]]


class Importer(NamedTuple):
    """A format that files have.

    Attributes:
        module: in this package; its `rows(path, folder, defaults)` reads a file.
        suffixes: of file names, by which the format is guessed; gzip's ``.gz`` may follow.
        help: what it is, in a few words.
    """

    module: str
    suffixes: tuple[str, ...]
    help: str

    @property
    def read(self) -> Read:
        """The `rows` function of the format."""
        reader: Read = import_module(f"kolm.capture.importers.{self.module}").rows
        return reader


TABLE: dict[str, Importer] = {
    "jsonl": Importer("jsonl", (".jsonl", ".ndjson"), "one JSON object a line"),
    "llava": Importer("llava", (".json",), "one JSON array: LLaVA, ShareGPT, chat messages"),
    "csv": Importer("table", (".csv",), "a table with a line of column names"),
    "tsv": Importer("table", (".tsv", ".tab"), "the same with tabs"),
    "folder": Importer("folder", (), "a folder of pictures with a metadata file"),
}


def guess(path: Path) -> str:
    """The format of a file by its name; anything unknown is taken for JSON Lines."""
    if path.is_dir():
        return "folder"
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    last = suffixes[-1] if suffixes else ""
    return next((name for name, form in TABLE.items() if last in form.suffixes), "jsonl")


def rows(
    path: Path, *, form: str | None = None, images: Path | None = None, defaults: Defaults
) -> Iterator[Draft | BadRow]:
    """Read a file to import.

    Args:
        path: the file, a folder, or ``-`` for standard input.
        form: a name in `TABLE`, or None to go by the file's name.
        images: the folder that image paths are relative to; default: the file's own.
        defaults: what rows say by not saying it.
    """
    from kolm.capture import reading, sources

    if path != reading.STDIN and not path.is_dir():
        sources.import_file(path)
    root = images or (path if path.is_dir() else path.parent)
    return TABLE[form or guess(path)].read(path, Folder(root), defaults)
