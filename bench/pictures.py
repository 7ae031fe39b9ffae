"""Real pictures that come with packages, as captures; the embedded base has seen none of them.

    pip install --no-deps scikit-image scikit-learn

Neither package is imported: their wheels bring the files.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIDE = 64
MATERIALS = ("brick", "grass", "gravel", "coins")
SCENES = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "ihc.png",
    "motorcycle_left.png",
    "retina.jpg",
)
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
    """UCI's 1,797 handwritten digits: scans of 8 x 8 numbers from 0 to 16."""
    path = package_file("sklearn", "datasets", "data", "digits.csv.gz")
    with gzip.open(path, "rt", newline="") as stream:
        for line in csv.reader(stream):
            values = np.array([float(value) for value in line])
            picture = np.minimum(values[:-1].reshape(8, 8) * 16, 255)
            yield {
                "image": png(picture),
                "prompt": "Which digit was written here?",
                "response": str(int(values[-1])),
            }


def _faces() -> Iterator[tuple[bytes, bool]]:
    pieces = np.load(package_file("skimage", "data", "lfw_subset.npy"), allow_pickle=False)
    for number, piece in enumerate(pieces):
        yield png(piece * 255 if piece.max() <= 1 else piece), number < 100


def faces() -> Iterator[Row]:
    """The 200 pieces of 25 x 25 of photographs in scikit-image, the 100 with a face first."""
    for image, face in _faces():
        yield {
            "image": image,
            "prompt": "Does this picture show a human face?",
            "response": "yes" if face else "no",
        }


def _materials() -> Iterator[tuple[bytes, str]]:
    for name in MATERIALS:
        with Image.open(package_file("skimage", "data", f"{name}.png")) as picture:
            pixels = np.asarray(picture.convert("L"))
        rows, columns = (length // SIDE for length in pixels.shape)
        for number in range(rows * columns):
            top, left = number // columns * SIDE, number % columns * SIDE
            yield png(pixels[top : top + SIDE, left : left + SIDE]), name


def materials() -> Iterator[Row]:
    """Pieces of 64 x 64 that do not overlap, of four photographs of one thing each."""
    for image, name in _materials():
        yield {"image": image, "prompt": "What was photographed from above?", "response": name}


def _pieces(package: str, *parts: str) -> Iterator[Any]:
    """Pieces of twice 64 by 64 of a photograph that do not overlap, row by row."""
    with Image.open(package_file(package, *parts)) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    side = 2 * SIDE
    for top in range(0, pixels.shape[0] - side + 1, side):
        for left in range(0, pixels.shape[1] - side + 1, side):
            yield pixels[top : top + side, left : left + side]


def scenes() -> Iterator[Row]:
    """Of which of six photographs of scikit-image a piece is; the largest gives no more than 40."""
    for file in SCENES:
        for piece in islice(_pieces("skimage", "data", file), 40):
            name = Path(file).stem.partition("_")[0]
            yield {"image": png(piece), "prompt": "Which scene is this from?", "response": name}


def turned() -> Iterator[Row]:
    """Pieces of scikit-learn's two photographs, upright and upside down."""
    for file in ("china.jpg", "flower.jpg"):
        for piece in _pieces("sklearn", "datasets", "images", file):
            for half in (piece[:SIDE], piece[SIDE:]):
                for part in (half[:, :SIDE], half[:, SIDE:]):
                    for answer, seen in (("no", part), ("yes", part[::-1])):
                        prompt = "Was this photograph turned upside down?"
                        yield {"image": png(seen), "prompt": prompt, "response": answer}


def presence() -> Iterator[Row]:
    """Whether a photograph shows something, twice a picture: what it shows, and what it does not.

    Of a piece without a face nobody says what it shows, so that only the second is asked.
    """
    things = ("face", *MATERIALS)
    shown = [(image, "face" if face else None) for image, face in _faces()]
    for number, (image, thing) in enumerate([*shown, *_materials()]):
        if thing is None:
            yield _asked(image, "face", present=False)
            continue
        others = [other for other in things if other != thing]
        yield _asked(image, thing, present=True)
        yield _asked(image, others[number % len(others)], present=False)


def _asked(image: bytes, thing: str, *, present: bool) -> Row:
    right, wrong = ("yes", "no") if present else ("no", "yes")
    prompt = f"Does this picture show {'a human face' if thing == 'face' else thing}?"
    return {"image": image, "prompt": prompt, "response": right, "rejected": wrong}
