"""Default settings against the best of nine, on three tasks of real pictures.

    pip install --no-deps scikit-image scikit-learn
    python -m bench.default_settings                     # 150 steps; --steps 100 for a quicker look

The tasks were chosen before anything was tuned on them, and the embedded base has seen none:
scanned digits (scikit-learn), pieces of photographs with and without a face, and pieces of
photographs of materials (both scikit-image, whose wheels bring the pictures). Each is one
`kolm sweep` of three learning rates and three ranks, the default among them, judged on the
validation side. Steps and batch size are the task's, the same for all nine. About 20 minutes on an
idle core. It says nothing of other bases.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from bench.pictures import digits, faces, materials
from tests.support.lines import Line

WITHIN = Decimal("0.05")
RATES, RANKS = ("0.0003", "0.001", "0.003"), ("4", "16", "64")
Row = dict[str, Any]
TASKS: dict[str, Callable[[], Iterable[Row]]] = {
    "digits": lambda: islice(digits(), 480),
    "faces": faces,
    "materials": materials,
}


def measure(name: str, steps: int, folder: Path) -> None:
    """Sweep one task, and print by how much the default is below the best of nine."""
    line = Line.make(folder, rows=list(TASKS[name]()))
    (line.folder / "kolm.yaml").write_text(
        f"kolm: 1\nname: {name}\nbase: kolm/nano-1\n"
        "data: {captures: captures, split: {eval: 0.2, validation: 0.3}, near_duplicates: report}\n"
        f"train: {{steps: {steps}, batch_size: 16, segments: 1}}\n"
    )
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
    """Measure all three tasks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=150)
    steps = parser.parse_args().steps
    with tempfile.TemporaryDirectory() as scratch:
        for name in TASKS:
            measure(name, steps, Path(scratch) / name)


if __name__ == "__main__":
    main()
