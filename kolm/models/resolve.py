"""Models: a base's name becomes a folder with its facts. Torch-free and offline.

What belongs here: finding and reading. Loading weights is in `load.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kolm import roles
from kolm.bundle.base_files import read_json
from kolm.errors import Refused, Unreadable, did_you_mean
from kolm.extras import missing_extra
from kolm.roles import Config

if TYPE_CHECKING:
    from kolm.records.documents import Lock


_EMBEDDED = {"kolm/nano-1": ("nano", "Apache-2.0")}
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)


class Place(NamedTuple):
    """Where a base lies: its id, its folder, and what is known from how it was found."""

    id: str
    folder: Path
    revision: str | None = None
    license: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseRef:
    """A base that was found on this machine.

    Attributes:
        id: the name that goes into the lock; never a path.
        folder: where its files are.
        family: its ``model_type``.
        revision: the hub commit, when it came from the hub's cache.
        license: SPDX id as the base's own model card states it, or "" when it does not.
        papers: of its architecture.
    """

    id: str
    folder: Path
    family: str
    revision: str | None
    license: str
    papers: tuple[str, ...]


def resolve_base(name: str) -> BaseRef:
    """Find a base by the name that its user gives it.

    Args:
        name: ``kolm/nano-1``, a path to a folder with a ``config.json``, or ``owner/model``, of
            which the cached default branch is taken.

    Raises:
        Unreadable: nothing of that name is on this machine.
        Refused: its family has no role table.
        Lacking: the hub's cache cannot be read because the extra `train` is not installed.
    """
    return _read(find_folder(name))


def find_folder(name: str) -> Place:
    """Where the base of this name lies; nothing of it is read.

    Raises:
        Unreadable: nothing of that name is on this machine.
        Lacking: the hub's cache cannot be read because the extra `train` is not installed.
    """
    if name in _EMBEDDED:
        return _named(name)
    try:
        folder = Path(name).expanduser()
    except RuntimeError:  # no such user
        folder = Path(name)
    if folder.is_dir():
        return Place(f"local/{folder.resolve().name}", folder.resolve())
    return _named(name)


def locked_base(lock: Lock) -> BaseRef:
    """Find the base that a bundle's lock names. A stranger wrote the name: it is never a path.

    Raises:
        Unreadable: the base is not on this machine, or was a folder on the publisher's.
        Refused: its family has no role table.
        Lacking: the hub's cache cannot be read because the extra `train` is not installed.
    """
    name = lock["base"]["id"]
    if name.startswith("local/"):
        raise Unreadable(
            "E_VERIFY_LOCAL_BASE",
            "the bundle names a base that was a folder on the publisher's machine",
            found=name,
            hint="give its folder: --base PATH",
        )
    return _read(_named(name, lock["base"]["revision"]))


def _named(name: str, revision: str | None = None) -> Place:
    if name in _EMBEDDED:
        part, license_id = _EMBEDDED[name]
        return Place(name, Path(__file__).parent / part / "weights", license=license_id)
    if not _HUB_NAME.fullmatch(name) or name.startswith("kolm/"):
        raise _not_found(name)
    folder = _cached(name, revision)
    return Place(name, folder, revision=folder.name)


def _not_found(name: str, *, hint: str = "") -> Unreadable:
    return Unreadable(
        "E_BASE_NOT_FOUND",
        "no base of this name is on this machine",
        where="base",
        expected="kolm/nano-1, a folder with a config.json, or an owner/model of the hub's cache",
        found=name,
        hint=did_you_mean(name, [*_EMBEDDED, *_in_hub_cache()], otherwise=hint),
    )


def _in_hub_cache() -> list[str]:
    """The models whose files the hub's cache of this machine holds."""
    try:
        from huggingface_hub.constants import HF_HUB_CACHE
    except ImportError:
        return []
    folders = Path(HF_HUB_CACHE).glob("models--*--*")
    return sorted(f.name.removeprefix("models--").replace("--", "/", 1) for f in folders)


def _cached(name: str, revision: str | None) -> Path:
    """The snapshot folder of a hub id in the local cache; never the network."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise missing_extra("train", "bases from the hub need an optional part of kolm") from error
    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError) as error:
        asked = name if revision is None else f"{name}@{revision}"
        # kolm does not fetch while it compiles; whether the hub has the name, nobody here knows.
        hint = f"hf download {name}, if the Hugging Face hub has it"
        valid = not isinstance(error, HFValidationError)
        raise _not_found(asked, hint=hint if valid else "") from error


def _read(place: Place) -> BaseRef:
    config = read_config(place.folder)
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        raise Refused("E_BASE_CONFIG", "the base's config has no model_type", where="config.json")
    return BaseRef(
        id=place.id,
        folder=place.folder,
        family=model_type,
        revision=place.revision,
        license=place.license or _stated_license(place.folder),
        papers=roles.family(model_type).papers,
    )


def read_config(folder: Path) -> Config:
    """The base's ``config.json``.

    Raises:
        Unreadable: there is none, or it is a Git LFS pointer: this is not a base.
        Refused: it is not a JSON object.
    """
    if not (folder / "config.json").is_file():
        raise Unreadable(
            "E_BASE_NOT_FOUND",
            "this is not a base: it has no config.json",
            where="base",
            expected="the folder of a checkpoint, with config.json and *.safetensors",
            found=folder.name,
        )
    return read_json(folder, "config.json")


def _stated_license(folder: Path) -> str:
    """The ``license:`` line of the model card's front matter."""
    card = folder / "README.md"
    if not card.is_file():
        return ""
    parts = card.read_text(encoding="utf-8", errors="replace").split("---", 2)
    if len(parts) < 3 or parts[0].strip():
        return ""
    match = re.search(r"^license:\s*([\w.+-]+)\s*$", parts[1], re.MULTILINE)
    return match.group(1) if match else ""
