"""The compositions: where the files of a spec lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kolm import system
from kolm.records.spec import Spec

_STATE = ".kolm"  # a project's own folder for what can be made again

SpecSource = Path | str | Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Where a compile's files lie: the spec's folder, or the one that was named."""

    folder: Path

    @property
    def runs_folder(self) -> Path:
        """The folder of the stages' results, each in a folder named after its key."""
        return self.folder / _STATE / "runs"

    @property
    def rows_folder(self) -> Path:
        """The folder of the stores that rows from Python went into."""
        return self.folder / _STATE / "rows"


def project_of(spec: SpecSource, project: Path | None) -> Project:
    """The project of a spec: the named folder, else the spec's own, else the current one."""
    if project is not None:
        return Project(folder=project.absolute())
    if isinstance(spec, Mapping):
        return Project(folder=Path.cwd())
    return Project(folder=Path(spec).absolute().parent)


def base_name(spec: Spec, place: Project) -> str:
    """What the spec calls its base: a folder beside it, or any other name."""
    beside = place.folder / spec.base
    return str(beside) if beside.is_dir() else spec.base


def state_places(spec: Spec, place: Project) -> list[Path]:
    """Where the training is looked for that a spec goes on from.

    Raises:
        Unreadable: what ``train.continues_from`` names is not there.
    """
    places = [place.runs_folder]
    if spec.train.continues_from is not None:
        named = place.folder / spec.train.continues_from
        system.demand_there(named)
        places.append(Project(folder=named).runs_folder if named.is_dir() else named)
    return places
