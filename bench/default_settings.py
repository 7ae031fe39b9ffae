"""Default settings against the best of nine, on three tasks of real pictures.

    pip install --no-deps scikit-image scikit-learn
    python -m bench.default_settings                     # 150 steps; --steps 100 for a quicker look
    python -m bench.default_settings --choose            # on what the rate was chosen

The tasks were chosen before anything was tuned on them, and the embedded base has seen none:
scanned digits (scikit-learn), pieces of photographs with and without a face, and pieces of
photographs of materials (both scikit-image, whose wheels bring the pictures). Each is one
`kolm sweep` of three learning rates and three ranks, the default in their middle, judged on the
validation side. Steps and batch size are the task's, the same for all nine. About 20 minutes on an
idle core. It says nothing of other bases.

The default rate was chosen among three on two other tasks: the gauges of `kolm init`, and of which
photograph a piece is.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from bench.pictures import digits, faces, materials, scenes
from kolm.cli.examples import gauges
from tests.support.lines import Line

WITHIN = Decimal("0.05")
RATES, RANKS = ("0.0007", "0.002", "0.006"), ("4", "16", "64")
TRIED = ("0.001", "0.002", "0.004")
Row = dict[str, Any]
TASKS: dict[str, Callable[[], Iterable[Row]]] = {
    "digits": lambda: islice(digits(), 480),
    "faces": faces,
    "materials": materials,
}


def dials() -> Iterable[Row]:
    """The first 480 captures of the gauges."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "gauges"
        gauges.write(folder)
        lines = (folder / "pairs.jsonl").read_bytes().splitlines()
        for row in map(json.loads, lines[:480]):
            yield {**row, "image": (folder / row["image"]).read_bytes()}


CHOOSING: dict[str, Callable[[], Iterable[Row]]] = {"gauges": dials, "scenes": scenes}


def make(name: str, rows: Iterable[Row], split: str, steps: int, folder: Path) -> Line:
    """A project of a task, with the settings that are the same for all."""
    line = Line.make(folder, rows=list(rows))
    (line.folder / "kolm.yaml").write_text(
        f"kolm: 1\nname: {name}\nbase: kolm/nano-1\n"
        f"data: {{captures: captures, split: {split}, near_duplicates: report}}\n"
        f"train: {{steps: {steps}, batch_size: 16, segments: 1}}\n"
    )
    return line


def choose(name: str, steps: int, folder: Path) -> None:
    """Sweep the rates that were tried on a task that is not scored."""
    line = make(name, CHOOSING[name](), "{eval: 0.05, validation: 0.4}", steps, folder)
    line.demand("sweep", "--json", "--grid", f"learning_rate={','.join(TRIED)}")
    print((line.folder / "kolm-sweep" / "table.md").read_text(), flush=True)


def measure(name: str, steps: int, folder: Path) -> None:
    """Sweep one task, and print by how much the default is below the best of nine."""
    line = make(name, TASKS[name](), "{eval: 0.2, validation: 0.3}", steps, folder)
    taken = line.demand("compile", "--dry-run", "--json").document()["lock"]["train"]
    grid = ("--grid", f"learning_rate={','.join(RATES)}", "--grid", f"rank={','.join(RANKS)}")
    swept = line.demand("sweep", "--json", *grid).document()
    accuracy = {
        tuple(row["settings"].values()): Decimal(row["score"]["accuracy"] if row["score"] else 0)
        for row in swept["rows"]
    }
    default = taken["learning_rate"], str(taken["method"]["rank"])
    below = max(accuracy.values()) - accuracy[default]
    said = "within" if below <= WITHIN else "not within"
    print(f"\n{name}: default {default} is {below:.3f} below the best: {said} {WITHIN}")
    print((line.folder / "kolm-sweep" / "table.md").read_text())


def main() -> None:
    """Measure all three tasks, or show on what the rate was chosen."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--choose", action="store_true")
    asked = parser.parse_args()
    tasks, work = (CHOOSING, choose) if asked.choose else (TASKS, measure)
    with tempfile.TemporaryDirectory() as scratch:
        for name in tasks:
            work(name, asked.steps, Path(scratch) / name)


if __name__ == "__main__":
    main()
