"""A project for sweeps: a tiny base, a store of small captures, and stages in this process.

The stages are the worker's own; only that each is a process of its own, and the environment that
such a process demands, is left out here. `tests/acceptance/test_sweep.py` has the real thing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kolm import worker
from kolm.actions import children
from kolm.train import arithmetic, profile
from tests.support import tiny_vlm
from tests.support.train_run import make_store

SPEC = """\
# comments are for people
kolm: 1
name: tiny
base: base
data: {captures: captures, split: {eval: 0.25, validation: 0.25}, near_duplicates: report}
train: {method: {kind: lora, rank: 2, alpha: 4}, learning_rate: 0.001, steps: 4, batch_size: 4,
  segments: 1}
evaluation: {max_new_tokens: 4}
"""


def make_project(folder: Path) -> Path:
    """A project folder; gives its spec."""
    tiny_vlm.save_base(folder / "base", template=tiny_vlm.PLAIN)
    make_store(folder / "captures", 40)
    spec = folder / "kolm.yaml"
    spec.write_text(SPEC, encoding="utf-8")
    return spec


def stages_here(
    monkeypatch: pytest.MonkeyPatch, around: Callable[[str, Callable[[], None]], None] | None = None
) -> list[str]:
    """Run the stages in this process; gives the list of those that ran, which grows.

    Args:
        monkeypatch: of the test.
        around: called with the stage's name and what runs it.
    """
    ran: list[str] = []

    def run(task: str, folder: Path, *, reporter: Any, **_: Any) -> None:
        ran.append(task)

        def work() -> None:
            worker.TASKS[task](folder, reporter)

        if around is None:
            work()
        else:
            around(task, work)

    def measured(*_: Any) -> dict[str, Any]:
        return arithmetic.measure("cpu")._asdict()

    monkeypatch.setattr(children, "run", run)
    monkeypatch.setattr(profile, "measure_in_child", measured)
    monkeypatch.setattr(profile, "check_environment", lambda *_, **__: None)
    return ran
