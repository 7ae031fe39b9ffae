"""A sweep of nine points on the embedded base, as processes that are killed with SIGKILL."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.lines import Line, coloured

pytestmark = pytest.mark.slow

GRID = ("--grid", "rank=2,4,8", "--grid", "learning_rate=0.001,0.002,0.004")
FILES = ("kolm-sweep/table.md", "kolm-sweep/table.csv", "kolm-sweep/loss.svg", "kolm.best.yaml")


def texts(folder: Path) -> list[str]:
    return [(folder / name).read_text(encoding="utf-8") for name in FILES]


def kill_when(child: subprocess.Popen[str], folder: Path, pattern: str, count: int) -> None:
    """Kill a process with all that it started as soon as so many files of a pattern are there."""
    deadline = time.monotonic() + 600
    while len(list(folder.glob(pattern))) < count:
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()


def test_nine_points_killed_twice_give_the_same_table_with_features_computed_once(
    tmp_path: Path,
) -> None:
    line = Line.make(tmp_path, rows=coloured(160), steps=12, batch_size=8)
    spec = line.folder / "kolm.yaml"
    spec.write_text(spec.read_text().replace("validation: 0.05", "validation: 0.25"))
    runs, features = line.folder / ".kolm" / "runs", line.home / "cache" / "features"

    kill_when(line.start("sweep", *GRID), runs, "train-*/checkpoints/*-00000006*", 3)
    kept = {path.name: path.stat().st_ino for path in features.iterdir()}
    kill_when(line.start("sweep", *GRID), runs, "validate-*/validated.jsonl", 6)
    killed = line.demand("sweep", "--json", *GRID).document()
    assert len(killed["rows"]) == 9
    table = texts(line.folder)
    # A recording that is made again replaces its file; the first point made all of them.
    assert kept
    assert {path.name: path.stat().st_ino for path in features.iterdir()} == kept

    shutil.rmtree(line.folder / "kolm-sweep")
    (line.folder / "kolm.best.yaml").unlink()
    shutil.rmtree(runs)
    shutil.rmtree(features)
    whole = line.demand("sweep", "--json", *GRID).document()
    assert whole == killed
    assert texts(line.folder) == table
    best = line.demand("compile", "-v", "--json", "--allow-below-gate", "kolm.best.yaml")
    assert "train: done earlier; its result is reused" in best.stderr
    print(whole["note"])
