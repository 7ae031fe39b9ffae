"""Near twins are found by what pictures look like, and computed the same everywhere."""

from __future__ import annotations

from itertools import pairwise

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from kolm import digest
from kolm.capture import images, likeness
from tests.support.pictures import picture, saved


def scene(number: int, size: tuple[int, int] = (96, 72)) -> Pillow.Image:
    """A smooth picture, as photographs are."""
    small = numpy.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=numpy.uint8)
    return Pillow.fromarray(small).resize(size, Pillow.Resampling.BICUBIC)


def are_twins(left: Pillow.Image, right: Pillow.Image) -> bool:
    a, b = digest.of_bytes(b"left"), digest.of_bytes(b"right")
    left_only, right_only = {a: likeness.signature(left)}, {b: likeness.signature(right)}
    return likeness.twins(left_only, right_only) == [(a, b)]


@pytest.mark.parametrize("number", range(8))
def test_a_saved_again_or_scaled_picture_is_a_twin(number: int) -> None:
    original = scene(number)
    assert are_twins(original, images.decode(saved(original, "JPEG", quality=60)))
    assert are_twins(original, original.resize((64, 48), Pillow.Resampling.BOX))
    assert not are_twins(original, scene(number + 100))


@pytest.mark.parametrize("number", range(8))
def test_another_colour_of_the_same_shapes_is_no_twin(number: int) -> None:
    red, green, blue = scene(number).split()
    assert not are_twins(scene(number), Pillow.merge("RGB", (blue, green, red)))


def plain_signature(picture_: Pillow.Image) -> bytes:
    """The definition in docs/format/snapshot.md, rule S11, in plain Python."""
    width, height = picture_.size

    def mean(row: int, rows: int, column: int, columns: int, weights) -> int:
        top, left = row * height // rows, column * width // columns
        bottom = max(top + 1, (row + 1) * height // rows)
        right = max(left + 1, (column + 1) * width // columns)
        cells = [
            sum(w * c for w, c in zip(weights, picture_.getpixel((x, y)), strict=True))
            for y in range(top, bottom)
            for x in range(left, right)
        ]
        return sum(cells) // len(cells)

    bits = 0
    for row in range(8):
        line = [mean(row, 8, column, 9, (299, 587, 114)) for column in range(9)]
        for left, right in pairwise(line):
            bits = bits << 1 | (left > right)
    colors = [
        mean(row, 4, column, 4, weights)
        for row in range(4)
        for column in range(4)
        for weights in ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    ]
    return bits.to_bytes(8, "big") + bytes(colors)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.randoms(use_true_random=False))
def test_a_signature_is_what_the_format_says(width: int, height: int, chance) -> None:
    made = Pillow.frombytes("RGB", (width, height), chance.randbytes(width * height * 3))
    assert likeness.signature(made) == plain_signature(made)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 8), min_size=1, max_size=30), st.integers(1, 30))
def test_twins_are_those_that_a_plain_search_finds(changes: list[int], step: int) -> None:
    base = bytearray(likeness.signature(scene(1)))
    left, right = {}, {}
    for number, change in enumerate(changes):
        varied = bytearray(base)
        varied[number % 8] ^= (1 << change) - 1 & 0xFF
        varied[8 + number] = min(255, varied[8 + number] + 60 * change)
        side = left if number % 2 else right
        side[digest.of_bytes(bytes([number]))] = bytes(varied)
    likeness_step, likeness.PAIRS_AT_ONCE = likeness.PAIRS_AT_ONCE, step
    try:
        found = likeness.twins(left, right)
    finally:
        likeness.PAIRS_AT_ONCE = likeness_step
    assert [a for a, _ in found] == sorted(
        a for a in left if any(near(left[a], other) for other in right.values())
    )
    assert all(near(left[a], right[b]) for a, b in found)


def near(left: bytes, right: bytes) -> bool:
    bits = (int.from_bytes(left[:8], "big") ^ int.from_bytes(right[:8], "big")).bit_count()
    colors = sum(abs(a - b) for a, b in zip(left[8:], right[8:], strict=True))
    return bits <= likeness.MAX_HASH_BITS and colors <= likeness.MAX_MEAN_COLOR * 48


def test_a_signature_is_frozen() -> None:
    # A change would make the near-duplicate counts of old snapshots impossible to recompute.
    found = likeness.signature(images.decode(picture(3)))
    assert digest.of_bytes(found) == digest.of_bytes(plain_signature(images.decode(picture(3))))
    assert len(found) == likeness.SIGNATURE_BYTES


def test_no_pictures_have_no_twins() -> None:
    assert likeness.twins({}, {digest.EMPTY: bytes(56)}) == []
    assert likeness.twins({digest.EMPTY: bytes(56)}, {}) == []
