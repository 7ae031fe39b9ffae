"""A base's processor: the same pixels whatever is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import torchvision_stub

pytest.importorskip("torch")
pytest.importorskip("transformers")

_PIXELS = """
import sys
from PIL import Image
from kolm import digest
from kolm.models import family
from kolm.models.processor import load_processor
from kolm.models.resolve import resolve_base

processor = load_processor(resolve_base("kolm/nano-1").folder)
picture = Image.new("RGB", (300, 200))
places = [(x, y) for y in range(200) for x in range(300)]
picture.putdata([((x * 7) % 256, (y * 5) % 256, (x * y) % 256) for x, y in places])
pixels, grid = family.runtime("qwen2_5_vl").pixel_values(processor.image_processor, picture, None)
print(grid, digest.of_bytes(pixels.numpy().tobytes()))
"""


def pixels(path: Path | None) -> str:
    variables = {**os.environ, **({} if path is None else {"PYTHONPATH": str(path)})}
    done = subprocess.run(
        [sys.executable, "-c", _PIXELS], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.heavy
def test_a_torchvision_changes_no_pixel_and_breaks_nothing(tmp_path: Path) -> None:
    plain = pixels(None)
    assert plain.startswith("(1, ")
    assert pixels(torchvision_stub.write(tmp_path / "works", broken=False)) == plain
    assert pixels(torchvision_stub.write(tmp_path / "breaks", broken=True)) == plain
