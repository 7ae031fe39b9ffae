"""Trackers: the run's own log survives a kill; others are refused in time, and hold the values."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from kolm import settings
from kolm.errors import Lacking, Usage
from kolm.run.names import METRICS
from kolm.train import trackers
from kolm.train.trackers import KINDS, Tracked, json_lines


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]


def test_every_run_has_a_log_of_numbers(tmp_path: Path) -> None:
    tracked = Tracked(tmp_path, (), lambda: 4096)
    tracked.begin(0)
    tracked.log(1, loss=2.5, projector_learning_rate=None)
    assert lines(tmp_path) == [{"step": 1, "loss": 2.5, "memory_bytes": 4096}]  # flushed at once
    tracked.log(1, validation_loss=2.25)
    tracked.close()
    assert [sorted(line) for line in lines(tmp_path)] == [
        ["loss", "memory_bytes", "step"], ["memory_bytes", "step", "validation_loss"],
    ]  # fmt: skip


@pytest.mark.parametrize("after", [0, 2, 9])
def test_a_run_that_goes_on_keeps_the_steps_that_it_goes_on_from(
    tmp_path: Path, after: int
) -> None:
    whole = b"".join(b'{"step": %d, "loss": 1.5}\n' % step for step in range(1, 5))
    (tmp_path / METRICS).write_bytes(whole + b'{"step": 5, "lo')  # cut by a kill
    log = json_lines.open_in(tmp_path, "run", after)
    log.log(after + 1, {"loss": 0.5})
    log.close()
    steps = [line["step"] for line in lines(tmp_path)]
    assert steps == [*range(1, min(after, 4) + 1), after + 1]


def test_what_is_no_log_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / METRICS).write_bytes(b"\xff\n[]\n{}\n")
    json_lines.open_in(tmp_path, "run", 3).close()
    assert lines(tmp_path) == []


def test_trackers_are_named_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KOLM_TRACK", raising=False)
    assert settings.track() == ()
    monkeypatch.setenv("KOLM_TRACK", " wandb,tensorboard,,wandb ")
    assert settings.track() == ("wandb", "tensorboard")


def test_an_unknown_tracker_and_one_that_is_not_installed_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(Usage, match="does not have"):
        trackers.demand(("mlflow",))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for kind, line in KINDS.items():
        with pytest.raises(Lacking) as caught:
            trackers.demand((kind,))
        assert (caught.value.code, caught.value.hint) == ("E_TRACK_MISSING", line.install)


def course(folder: Path, kind: str) -> None:
    tracked = Tracked(folder, (kind,), lambda: 8)
    for after in (0, 2):  # the second goes on after a kill
        tracked.begin(after)
        for step in range(after + 1, after + 3):
            tracked.log(step, loss=1 / step)
        tracked.close()


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    course(tmp_path, "tensorboard")
    found = {}
    for path in sorted((tmp_path / "tracking" / "tensorboard").iterdir()):
        for event in loader.EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                found[event.step, value.tag] = value.tensor.float_val[0]
    assert found[3, "loss"] == pytest.approx(1 / 3)
    assert {step for step, tag in found if tag == "memory_bytes"} == {1, 2, 3, 4}


def test_wandb_writes_offline_and_describes_no_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    tracked = Tracked(tmp_path, ("wandb",), lambda: 8)
    tracked.begin(0)
    tracked.log(1, loss=0.5)
    tracked.close()
    runs = list((tmp_path / "tracking" / "wandb" / "wandb").glob("offline-run-*/*.wandb"))
    assert len(runs) == 1
    written = runs[0].read_bytes()
    assert b"loss" in written
    assert b"memory_bytes" in written
    assert str(Path.cwd()).encode() not in written
