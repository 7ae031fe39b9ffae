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
import csv
import gzip
import importlib.util
import io
import sys
import tempfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.support.lines import Line

SIDE = 64
WITHIN = Decimal("0.05")
RATES, RANKS = ("0.0003", "0.001", "0.003"), ("4", "16", "64")
Row = dict[str, Any]


def package_file(package: str, *parts: str) -> Path:
    """A file that a package brings; the package is not imported."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        sys.exit(f"{package} is not installed: pip install --no-deps scikit-image scikit-learn")
    return Path(found.submodule_search_locations[0]).joinpath(*parts)


def png(pixels: Any) -> bytes:
    """A PNG file of grey or RGB numbers from 0 to 255, made larger to `SIDE`."""
    picture = Image.fromarray(np.asarray(pixels, dtype=np.uint8)).convert("RGB")
    stream = io.BytesIO()
    picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(stream, "PNG")
    return stream.getvalue()


def digits() -> Iterator[Row]:
    """The first 480 of UCI's handwritten digits: scans of 8 x 8 numbers from 0 to 16."""
    path = package_file("sklearn", "datasets", "data", "digits.csv.gz")
    with gzip.open(path, "rt", newline="") as stream:
        for number, line in enumerate(csv.reader(stream)):
            if number == 480:
                return
            values = np.array([float(value) for value in line])
            picture = np.minimum(values[:-1].reshape(8, 8) * 16, 255)
            yield {
                "image": png(picture),
                "prompt": "Which digit was written here?",
                "response": str(int(values[-1])),
            }


def faces() -> Iterator[Row]:
    """The 200 pieces of 25 x 25 of photographs in scikit-image, the 100 with a face first."""
    pieces = np.load(package_file("skimage", "data", "lfw_subset.npy"), allow_pickle=False)
    for number, piece in enumerate(pieces):
        yield {
            "image": png(piece * 255 if piece.max() <= 1 else piece),
            "prompt": "Does this picture show a human face?",
            "response": "yes" if number < 100 else "no",
        }


def materials() -> Iterator[Row]:
    """Pieces of 64 x 64 that do not overlap, of four photographs of one thing each."""
    for name in ("brick", "grass", "gravel", "coins"):
        with Image.open(package_file("skimage", "data", f"{name}.png")) as picture:
            pixels = np.asarray(picture.convert("L"))
        rows, columns = (length // SIDE for length in pixels.shape)
        for number in range(rows * columns):
            top, left = number // columns * SIDE, number % columns * SIDE
            yield {
                "image": png(pixels[top : top + SIDE, left : left + SIDE]),
                "prompt": "What was photographed from above?",
                "response": name,
            }


def measure(task: Callable[[], Iterator[Row]], steps: int, folder: Path) -> None:
    """Sweep one task, and print by how much the default is below the best of nine."""
    line = Line.make(folder, rows=list(task()))
    (line.folder / "kolm.yaml").write_text(
        f"kolm: 1\nname: {task.__name__}\nbase: kolm/nano-1\n"
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
    print(f"\n{task.__name__}: default {default} is {below:.3f} below the best: {said} {WITHIN}")
    print((line.folder / "kolm-sweep" / "table.md").read_text())


def main() -> None:
    """Measure all three tasks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=150)
    steps = parser.parse_args().steps
    with tempfile.TemporaryDirectory() as scratch:
        for task in (digits, faces, materials):
            measure(task, steps, Path(scratch) / task.__name__)


if __name__ == "__main__":
    main()
