"""What torchvision does to pixels, by torch alone."""

from __future__ import annotations

import json
import sys

import pytest

torch = pytest.importorskip("torch")

from kolm.models import pixels  # noqa: E402
from tests.vectors.pixels import record  # noqa: E402


def test_pixels_are_those_of_torchvision() -> None:
    held = json.loads(record.FILE.read_text())
    found = dict(record.made(pixels))
    assert found.keys() == held.keys()
    for name, made in found.items():
        own = record.written(made)
        assert own == (
            held[name] if name.startswith("bytes") else pytest.approx(held[name], abs=2e-5)
        )


def test_a_picture_of_that_size_already_is_left_as_it_is() -> None:
    picture = record.picture(6, 8)
    assert pixels.resize(picture, (6, 8)) is picture


def test_what_torch_does_not_have_is_refused_and_not_approximated() -> None:
    picture = record.picture(6, 8)
    with pytest.raises(ValueError, match="lanczos"):
        pixels.resize(picture, (3, 4), pixels.InterpolationMode.LANCZOS)
    with pytest.raises(ValueError, match="reflect"):
        pixels.pad(picture, (1, 1, 1, 1), padding_mode="reflect")


def test_no_other_family_has_its_image_processor_changed() -> None:
    before = sys.modules.get("torchvision.transforms.v2")
    assert pixels.processor_class("qwen2_vl") is None
    assert pixels.processor_class("llama") is None
    own = pixels.processor_class("lfm2_vl")
    assert own is not None
    assert own.__name__ == "Lfm2VlImageProcessor"
    assert sys.modules.get("torchvision.transforms.v2") is before
