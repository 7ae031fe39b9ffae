"""Default settings against the best of nine, on three tasks of real pictures.

The tasks were chosen before anything was tuned on them, and the embedded base has seen none:
scanned digits (scikit-learn), pieces of photographs with and without a face, and pieces of
photographs of materials (both scikit-image). Both packages bring the pictures in their wheels:

    pip install --no-deps scikit-image scikit-learn
    python -m pytest -m slow -s tests/acceptance/test_default_settings.py

It says nothing of other bases. Steps and batch size are the task's, the same for all nine points.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.lines import Line

np = pytest.importorskip("numpy")
pytestmark = pytest.mark.slow

SIDE = 64
WITHIN = Decimal("0.05")
STEPS = int(os.environ.get("KOLM_TEST_STEPS", "150"))
RATES, RANKS = ("0.0003", "0.001", "0.003"), ("4", "16", "64")
Row = dict[str, Any]


def package_file(package: str, *parts: str) -> Path:
    """A file that a package brings; the package is not imported."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    return Path(found.submodule_search_locations[0]).joinpath(*parts)


def png(pixels: Any) -> bytes:
    """A PNG file of grey or RGB numbers from 0 to 255, made larger to `SIDE`."""
    from PIL import Image

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
    from PIL import Image

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


@pytest.mark.parametrize("task", [digits, faces, materials], ids=lambda task: task.__name__)
def test_default_settings_come_close_to_the_best_of_nine(
    tmp_path: Path, task: Callable[[], Iterator[Row]]
) -> None:
    line = Line.make(tmp_path, rows=list(task()))
    (line.folder / "kolm.yaml").write_text(
        f"kolm: 1\nname: {task.__name__}\nbase: kolm/nano-1\n"
        "data: {captures: captures, split: {eval: 0.2, validation: 0.3}, near_duplicates: report}\n"
        f"train: {{steps: {STEPS}, batch_size: 16, segments: 1}}\n"
    )
    taken = line.demand("compile", "--dry-run", "--json").document()["lock"]
    grid = ("--grid", f"learning_rate={','.join(RATES)}", "--grid", f"rank={','.join(RANKS)}")
    swept = line.demand("sweep", "--json", *grid).document()
    accuracy = {
        tuple(row["settings"].values()): Decimal(row["score"]["accuracy"] if row["score"] else 0)
        for row in swept["rows"]
    }
    default = taken["train"]["learning_rate"], str(taken["train"]["method"]["rank"])
    print(f"\n{task.__name__}: {swept['cases']} cases, default {default}: {accuracy[default]}")
    print((line.folder / "kolm-sweep" / "table.md").read_text())
    assert accuracy[default] >= max(accuracy.values()) - WITHIN
