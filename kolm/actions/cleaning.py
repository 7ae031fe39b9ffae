"""The compositions: what kolm keeps on this machine only to be faster, and freeing it.

Stages of compiles and stores made of rows lie in a project's folder, vision features and digests of
bases in the cache that all projects share. All of it is made again when it is needed, with the same
bits.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from kolm import paths, system
from kolm.actions.project import Project
from kolm.errors import KolmError, Refused
from kolm.format.names import LOCK
from kolm.run import folder as files
from kolm.run.names import BASES, FEATURES, RESULT, SEALED
from kolm.run.stages import STAGES

RUNS, ROWS = "runs", "rows"
KINDS: Final = (RUNS, ROWS, FEATURES, BASES)
_OF_ALL_PROJECTS: Final = {
    FEATURES: "vision features, for all projects",
    BASES: "digests of bases, for all projects",
}
_GRACE_SECONDS = 0.0  # a folder in use is left alone at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Something that can be freed.

    Attributes:
        kind: ``runs``, ``rows``, ``features`` or ``bases``.
        name: a stage (``train``, ``evaluate``) that is finished or not, or what else it is.
        spec: the name in the lock of a stage, which the bundle sealed from it has too; or empty.
        sealed: the CID of the last bundle that was sealed from a stage; or empty.
        path: where it lies.
        size_bytes: what it takes.
        used_on: when a file of it was last changed.
        freed: whether it was freed just now.
        busy: a compile works in it, so that it was left alone.
    """

    kind: str
    name: str
    path: Path
    size_bytes: int
    used_on: datetime
    spec: str = ""
    sealed: str = ""
    freed: bool = False
    busy: bool = False


def clean(project: Path | None = None, *, free: Collection[str] = ()) -> list[Kept]:
    """What is kept for a project and in the cache; frees the kinds that are named.

    Args:
        project: the project's folder; the current one without it.
        free: of `KINDS`.

    Raises:
        KolmError: what the operating system says.
    """
    place = Project(folder=(project or Path.cwd()).absolute())
    return [_free(kept) if kept.kind in free else kept for kept in _all_kept(place)]


def _all_kept(project: Project) -> Iterator[Kept]:
    for kind, folder in ((RUNS, project.runs_folder), (ROWS, project.rows_folder)):
        if folder.is_dir() and not folder.is_symlink():
            for path in sorted(folder.iterdir()):
                kept = _describe(kind, _name_of(kind, path), path)
                if kind == RUNS:
                    kept = replace(kept, spec=_spec_of(path), sealed=_sealed_of(path))
                yield kept
    for kind, name in _OF_ALL_PROJECTS.items():
        folder = paths.cache_folder() / kind
        if folder.is_dir() and not folder.is_symlink():
            yield _describe(kind, name, folder)


def _name_of(kind: str, path: Path) -> str:
    stage = path.name.partition("-")[0]
    if kind == ROWS:
        return "a store made of rows"
    if stage not in STAGES:
        return "of another version of kolm"
    return stage if (path / RESULT).is_file() else f"{stage}, not finished"


def _spec_of(stage: Path) -> str:
    try:
        return str(files.read_document(stage, LOCK)["name"])
    except (KolmError, KeyError):
        return ""  # of another version of kolm, or begun just now


def _sealed_of(stage: Path) -> str:
    try:
        return files.read(stage, SEALED).decode("ascii")
    except (KolmError, UnicodeDecodeError):
        return ""  # nothing was sealed from it yet


def _describe(kind: str, name: str, path: Path) -> Kept:
    size_bytes, used = 0, path.lstat().st_mtime
    for file in path.rglob("*"):
        try:
            facts = file.lstat()
        except FileNotFoundError:  # a compile is at work
            continue
        size_bytes += facts.st_size if file.is_file() and not file.is_symlink() else 0
        used = max(used, facts.st_mtime)
    when = datetime.fromtimestamp(used, UTC)
    return Kept(kind=kind, name=name, path=path, size_bytes=size_bytes, used_on=when)


def _free(kept: Kept) -> Kept:
    """Remove what is kept, unless a compile holds it."""
    if kept.path.is_symlink() or not kept.path.is_dir():
        with system.naming(kept.path):
            kept.path.unlink()
        return replace(kept, freed=True)
    if kept.kind != RUNS:  # blobs and features are replaced whole and made again when missing
        return _removed(kept)
    try:
        with files.held(kept.path, patience_seconds=_GRACE_SECONDS):
            return _removed(kept)
    except Refused as error:
        if error.code != "E_RUN_BUSY":
            raise
        return replace(kept, busy=True)


def _removed(kept: Kept) -> Kept:
    try:
        shutil.rmtree(kept.path)
    except OSError as error:
        problem: KolmError = system.error_of(error, where=kept.path)
        raise problem from None
    return replace(kept, freed=True)
