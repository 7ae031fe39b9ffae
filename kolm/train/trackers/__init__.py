"""Trackers: where a training's course can be watched beside its own log: a file each, a line here.

Every training writes ``metrics.jsonl`` into its run folder. ``KOLM_TRACK`` names others, which
write beside it, in ``tracking/KIND``. Nothing of it is content: it holds times and memory. A file
of this folder imports its package when it is opened.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from kolm.errors import Lacking, Usage
from kolm.train.trackers import json_lines, tensorboard, wandb

FOLDER: Final = "tracking"


class Tracker(Protocol):
    """What takes the values of a step."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take the values of a step, or of a validation after it."""

    def close(self) -> None:
        """Write what is not written yet."""


class Kind(NamedTuple):
    """A line of the table.

    Attributes:
        package: that must be there.
        install: what installs it.
        open: makes a tracker in a folder, for a run of this name, after this many steps.
    """

    package: str
    install: str
    open: Callable[[Path, str, int], Tracker]


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "tensorboard": Kind("tensorboard", "pip install 'kolm[tensorboard]'", tensorboard.open_in),
        "wandb": Kind("wandb", "pip install 'kolm[wandb]'", wandb.open_in),
    }
)


def demand(kinds: Sequence[str]) -> None:
    """Refuse trackers that are unknown, or whose package is not here; nothing is imported.

    Raises:
        Usage: ``E_ENVIRONMENT_VALUE``.
        Lacking: ``E_TRACK_MISSING``.
    """
    for kind in kinds:
        line = KINDS.get(kind)
        if line is None:
            raise Usage(
                "E_ENVIRONMENT_VALUE",
                "KOLM_TRACK names a tracker that kolm does not have",
                expected=", ".join(KINDS),
                found=kind[:80],
            )
        if importlib.util.find_spec(line.package) is None:
            raise Lacking(
                "E_TRACK_MISSING",
                f"KOLM_TRACK names {kind}, and its package is not installed",
                where="KOLM_TRACK",
                expected=line.package,
                hint=line.install,
            )


class Tracked:
    """Everything that a training's values go to.

    Args:
        folder: of the run.
        kinds: trackers beside the run's own log.
        memory_bytes: the most memory that the process has held so far.
    """

    def __init__(self, folder: Path, kinds: Sequence[str], memory_bytes: Callable[[], int]) -> None:
        self._folder = folder
        self._kinds = kinds
        self._memory_bytes = memory_bytes
        self._trackers: list[Tracker] = []

    def begin(self, after: int) -> None:
        """Open the trackers; what they hold of later steps belongs to a run that was cut off."""
        name = self._folder.name
        self._trackers = [json_lines.open_in(self._folder, name, after)]
        for kind in self._kinds:
            self._trackers.append(KINDS[kind].open(self._folder / FOLDER / kind, name, after))

    def log(self, step: int, **values: float | None) -> None:
        """Take values; those that are None are not there."""
        told = {name: value for name, value in values.items() if value is not None}
        told["memory_bytes"] = self._memory_bytes()
        for tracker in self._trackers:
            tracker.log(step, told)

    def close(self) -> None:
        """Close all of them."""
        for tracker in self._trackers:
            tracker.close()
        self._trackers = []
