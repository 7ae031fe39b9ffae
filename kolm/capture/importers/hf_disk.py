"""Capture: a Hugging Face data set as ``datasets.save_to_disk`` writes it.

One data set is a folder with ``state.json``, which lists files in Arrow's stream format. A folder
with ``dataset_dict.json`` holds one such folder a side; rows that state no side get its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from kolm import canonical
from kolm.capture import arrow, fields
from kolm.capture.drafts import BadRow, Defaults, Draft
from kolm.capture.importers.drafting import drafts
from kolm.capture.sources import Folder
from kolm.errors import Refused

_DICT, _STATE = "dataset_dict.json", "state.json"


def rows(path: Path, folder: Folder, defaults: Defaults) -> Iterator[Draft | BadRow]:
    """The rows of all sides, in the order in which they are listed.

    Raises:
        Lacking: pyarrow is not installed.
        Refused: the folder is no such data set.
    """
    arrow.library()
    return _rows(path, folder, defaults)


def _rows(path: Path, folder: Folder, defaults: Defaults) -> Iterator[Draft | BadRow]:
    if not (path / _DICT).is_file():
        yield from _one(path, folder, defaults, "")
        return
    for side in _names(path / _DICT, "splits"):
        stated = replace(defaults, split=defaults.split or fields.SIDES.get(side))
        yield from _one(path / side, folder, stated, f"{side}/")


def _one(path: Path, folder: Folder, defaults: Defaults, lead: str) -> Iterator[Draft | BadRow]:
    for name in _names(path / _STATE, "_data_files"):
        located = arrow.stream(path / name, f"{lead}{name}", defaults)
        yield from drafts(located, folder, defaults)


def _names(path: Path, key: str) -> list[str]:
    """The names that a document lists under a key, each of a thing beside the document."""
    try:
        stated = canonical.loads(path.read_bytes(), where=path.name, floats=True)
    except (FileNotFoundError, NotADirectoryError):
        raise _no_data_set(path, "is not there") from None
    listed = stated.get(key) if isinstance(stated, dict) else None
    names = [_name(item) for item in listed] if isinstance(listed, list) else []
    if not names or not all(name and name == Path(name).name for name in names):
        raise _no_data_set(path, f"names no files under {key!r}")
    return names


def _name(item: Any) -> str:
    name = item.get("filename") if isinstance(item, dict) else item
    return name if isinstance(name, str) and name != ".." and "\0" not in name else ""


def _no_data_set(path: Path, problem: str) -> Refused:
    return Refused(
        "E_IMPORT_ARROW",
        f"the folder is not what datasets.save_to_disk writes: {path.name} {problem}",
        where=str(path),
    )
