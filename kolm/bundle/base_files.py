"""The bundle: the small files of a base, read without the library that they are for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from kolm import canonical, system
from kolm.errors import Refused

LFS_POINTER: Final = b"version https://git-lfs.github.com/spec/"  # git-lfs, docs/spec.md
CONFIG_BYTES: Final = 4 * 1024 * 1024  # configs of bases with many added tokens reach 1 MiB
_TEMPLATE: Final = "chat_template.jinja"
_OLDER: Final = ("chat_template.json", "processor_config.json", "tokenizer_config.json")


def own_template(folder: Path) -> str | None:
    """The chat template that a base comes with: from the first place that has one, as transformers
    looks for it; of several with names the default one.

    Raises:
        Refused: a file where it may be is not UTF-8, not a JSON object, or a Git LFS pointer.
    """
    if (folder / _TEMPLATE).is_file():
        return _text(folder / _TEMPLATE)
    for name in _OLDER:
        found = read_json(folder, name).get("chat_template")
        if isinstance(found, list):  # of objects with name and template
            named = [one for one in found if isinstance(one, dict) and one.get("name") == "default"]
            found = named[-1].get("template") if named else None
        if found and isinstance(found, str):
            return found
    return None


def _text(path: Path) -> str:
    with system.naming(path):
        data = path.read_bytes()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Refused("E_BASE_CONFIG", f"not UTF-8: {error.reason}", where=path.name) from None


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON file of a base; empty when there is none.

    Raises:
        Refused: it is not a JSON object, or a Git LFS pointer.
    """
    path = folder / name
    if not path.is_file():
        return {}
    with system.naming(path):
        data = path.read_bytes()
    if data.startswith(LFS_POINTER):
        raise lfs_pointer(folder, name)
    value = canonical.loads(data, where=name, max_bytes=CONFIG_BYTES, floats=True, integers=True)
    if not isinstance(value, dict):
        raise Refused("E_BASE_CONFIG", "this file of the base is not a JSON object", where=name)
    return value


def lfs_pointer(folder: Path, name: str) -> Refused:
    """The error of a file whose content stayed on a Git LFS server."""
    return Refused(
        "E_BASE_LFS_POINTER",
        "a file of the base is a Git LFS pointer: its content was not downloaded",
        where=name,
        hint=f"git -C {folder} lfs pull, or hf download OWNER/MODEL",
    )
