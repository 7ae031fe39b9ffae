"""Processes that train together: a state that they do not all have is never written."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kolm import digest
from kolm.errors import KolmError
from kolm.train.checkpoints import Checkpoint, CheckpointFolder
from kolm.train.processes import ALONE, Processes

torch = pytest.importorskip("torch")
OTHER = digest.of_bytes(b"another state")


class Differing(Processes):
    """One of three, whose third has come to another state."""

    def _told(self, own: Any) -> list[Any]:
        return [own, own, OTHER]


def state() -> Checkpoint:
    tensors = {"random": torch.zeros(8, dtype=torch.uint8)}
    return Checkpoint(step=4, tensors=tensors, updates={}, gradient_steps={}, patience=None)


def test_processes_that_come_to_different_states_write_none(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    with pytest.raises(KolmError) as caught:
        folder.save(state(), agreed=partial(Differing(0, 3).demand_one_state, step=4))
    error = caught.value
    assert (error.code, error.where) == ("E_TRAIN_PROCESSES_DIFFER", "step 4, process 2")
    assert error.found == OTHER
    assert list(tmp_path.iterdir()) == []
    folder.save(state(), agreed=partial(ALONE.demand_one_state, step=4))
    assert folder.complete_steps() == [4]


def test_a_process_that_is_not_the_first_writes_no_state_and_comes_to_the_same(
    tmp_path: Path,
) -> None:
    written = CheckpointFolder(tmp_path / "first").save(state())
    other = CheckpointFolder(tmp_path / "other", writes=False)
    assert other.save(state()) == written
    other.save_interim(state())
    assert not (tmp_path / "other").exists()
