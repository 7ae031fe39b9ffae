"""What torchvision makes of pixels, to hold `kolm.models.pixels` against.

    python -m tests.vectors.pixels.record      # pip install torchvision==0.28.0

Pictures follow from their size. Bytes are held exactly, by the digest of what comes out; numbers
within rounding, which differs between processors, by a few of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

FILE = Path(__file__).with_name("pixels.json")
SIZES = (((60, 40), (32, 32)), ((37, 53), (96, 64)), ((300, 200), (64, 96)), ((1, 7), (16, 32)))
BORDERS = (0, [255, 255, 255], [1, 2, 3])
SHOWN = 8  # numbers of a picture that are held


def picture(height: int, width: int) -> torch.Tensor:
    """Two pictures of bytes: (2, 3, height, width)."""
    places = torch.arange(2 * 3 * height * width, dtype=torch.int64)
    return ((places * places * 31 + places // 7) % 256).to(torch.uint8).reshape(2, 3, height, width)


def made(functions: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """What a module of such functions makes of pictures, each by a name."""
    modes = functions.InterpolationMode
    for before, after in SIZES:
        for mode in (modes.BILINEAR, modes.BICUBIC):
            how = {"interpolation": mode, "antialias": True}
            bytes_ = picture(*before)
            name = f"{before} to {after}, {mode.value}"
            yield f"bytes {name}", functions.resize(bytes_, list(after), **how)
            how["antialias"] = False
            numbers = bytes_ / 255 - 0.5
            yield f"numbers {name}", functions.resize(numbers, list(after), **how)
    for fill in BORDERS:
        bordered = functions.pad(picture(5, 9), [1, 2, 3, 0], fill=fill, padding_mode="constant")
        yield f"bytes with a border of {fill}", bordered
    mean, deviation = torch.tensor([99.0, 127.5, 130.0]), torch.tensor([60.0, 127.5, 51.0])
    yield "numbers by mean and deviation", functions.normalize(picture(4, 3) * 1.0, mean, deviation)


def written(pixels: torch.Tensor) -> str | list[float]:
    """What is held of a picture."""
    if pixels.dtype is torch.uint8:
        return hashlib.sha256(pixels.contiguous().numpy().tobytes()).hexdigest()
    flat = pixels.flatten()
    return [round(float(number), 5) for number in flat[:: max(1, len(flat) // SHOWN)][:SHOWN]]


def _torchvision() -> ModuleType:
    from torchvision.transforms.v2 import functional

    return functional  # type: ignore[no-any-return,unused-ignore]


if __name__ == "__main__":
    held = {name: written(pixels) for name, pixels in made(_torchvision())}
    FILE.write_text(json.dumps(held, indent=1) + "\n")
