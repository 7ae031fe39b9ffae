"""Capture: a folder of pictures with a metadata file, as Hugging Face's image folders have it.

``metadata.jsonl``, ``metadata.json``, ``metadata.csv`` or ``metadata.tsv``; its column
``file_name`` (or ``image``) holds paths relative to the folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kolm.capture.drafts import BadRow, Defaults, Draft
from kolm.capture.sources import Folder
from kolm.errors import Unreadable

NAMES = ("metadata.jsonl", "metadata.json", "metadata.csv", "metadata.tsv")


def rows(path: Path, folder: Folder, defaults: Defaults) -> Iterator[Draft | BadRow]:
    """The rows of the folder's metadata file.

    Raises:
        Unreadable: it has none.
    """
    from kolm.capture import importers

    found = [path / name for name in NAMES if (path / name).is_file()]
    if len(found) != 1:
        raise Unreadable(
            "E_IMPORT_FILE",
            "a folder to import has one metadata file",
            where=str(path),
            expected=f"one of {', '.join(NAMES)}",
            found=", ".join(file.name for file in found) or "none",
            hint=_advice(path, found),
        )
    return importers.TABLE[importers.guess(found[0])].read(found[0], folder, defaults)


def _advice(path: Path, found: list[Path]) -> str:
    if found:
        return f"import one of them as a file: kolm capture import {found[0]}"
    if path.is_dir():
        return f"kolm capture template {path} --prompt TEXT writes rows to be filled in"
    return "--format folder is for a folder of pictures"
