"""Trackers: Weights & Biases, offline: a folder that ``wandb sync`` can upload, and nothing else.

The network is not used, and neither machine nor code is described.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def open_in(folder: Path, name: str, _after: int) -> Wandb:
    """A run of this process; one that goes on is a run of its own, with the steps that it does."""
    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    settings = wandb.Settings(
        console="off",
        quiet=True,
        silent=True,
        disable_git=True,
        disable_code=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
    )
    run = wandb.init(mode="offline", dir=str(folder), project="kolm", name=name, settings=settings)
    return Wandb(run)


class Wandb:
    """Writes the history of a run."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add to a step."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """End the run."""
        self._run.finish()
