"""Noise over a picture, by the published schedule."""

from __future__ import annotations

import math

import pytest
from PIL import Image

from kolm import digest
from kolm.evaluate import noise

SEED = digest.of_bytes(b"seed")

# What torch gives of VCD's own lines (linspace, sigmoid, cumprod; float32), by its step, which
# counts from 0: tools of its repository, computed once and written down here.
PUBLISHED = {
    0: 0.99997764825,
    99: 0.99663913250,
    299: 0.96273988485,
    499: 0.74667477608,
    699: 0.35288563371,
    999: 0.08124923706,
}


def grey(size: tuple[int, int] = (64, 48)) -> Image.Image:
    return Image.new("RGB", size, (128, 64, 192))


@pytest.mark.parametrize(("step", "left"), PUBLISHED.items())
def test_the_signal_that_is_left_is_the_published_one(step: int, left: float) -> None:
    assert math.isclose(noise.signal(step + 1), left, rel_tol=1e-4)


def test_no_step_is_no_noise_and_the_last_leaves_nothing_to_see() -> None:
    assert noise.noisy(grey(), 0, SEED).tobytes() == grey().tobytes()
    assert noise.signal(0) == 1
    assert noise.signal(noise.STEPS) < 0.1
    steps = [noise.signal(step) for step in range(0, noise.STEPS + 1, 50)]
    assert steps == sorted(steps, reverse=True)
    with pytest.raises(ValueError, match="outside"):
        noise.signal(noise.STEPS + 1)


def test_noise_follows_from_its_seed_alone() -> None:
    one = noise.noisy(grey(), 500, SEED).tobytes()
    assert one == noise.noisy(grey(), 500, SEED).tobytes()
    assert one != noise.noisy(grey(), 500, digest.of_bytes(b"other")).tobytes()
    assert noise.noisy(grey(), 500, SEED).size == (64, 48)


def test_it_has_the_variance_of_its_step() -> None:
    step = 100  # little enough that hardly any value leaves the range
    shown = noise.noisy(Image.new("L", (256, 256), 128).convert("RGB"), step, SEED)
    values = [value / 127.5 - 1 for value in shown.tobytes()]
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / len(values)
    assert math.isclose(variance, 1 - noise.signal(step), rel_tol=0.02)


def test_a_large_picture_is_noisy_strip_by_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = noise.noisy(grey(), 300, SEED).tobytes()
    monkeypatch.setattr(noise, "_STRIP_PIXELS", 64 * 5)
    assert noise.noisy(grey(), 300, SEED).tobytes() == whole
