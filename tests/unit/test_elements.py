"""Raw values: finite and zero, held equal to numpy, and fast without it."""

from __future__ import annotations

import struct
import time
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm.elements import (
    EXACT_RANK,
    _signs,
    all_finite,
    all_moderate,
    is_zero,
    product_reaches,
    repeated,
    widened_bfloat16,
)
from kolm.format.norms import stated_norm
from kolm.methods.lora import Lora
from kolm.verify.base_norms import rounded_to_bfloat16, square_sum

FORMATS = {"F64": "<d", "F32": "<f", "F16": "<e"}


@pytest.mark.parametrize("dtype", FORMATS)
@given(data=st.data())
def test_finite_and_zero_agree_with_numpy(dtype: str, data: st.DataObject) -> None:
    kind = np.dtype(FORMATS[dtype])
    raw = data.draw(
        st.binary(max_size=64).map(lambda b: b[: len(b) // kind.itemsize * kind.itemsize])
    )
    values = np.frombuffer(raw, kind)
    assert all_finite(dtype, raw) == bool(np.isfinite(values).all())
    assert is_zero(dtype, raw) == bool((values == 0).all())


def _lora(**settings: Any) -> Lora:
    block = {"dropout": "0", "rslora": False, "dora": False}
    return Lora(**{**block, **settings}, targets=(), target_expression="")


METHOD = _lora(rank=4, alpha=8)


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
@given(data=st.data())
def test_no_product_is_taken_for_larger_than_it_is(dtype: str, data: st.DataObject) -> None:
    rows, rank, columns = (data.draw(st.integers(1, 3)) for _ in range(3))
    numbers = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 2.0**-14, 3.0, 2.0**-70, 2.0**-126])
    outer = data.draw(st.lists(numbers, min_size=rows * rank, max_size=rows * rank))
    inner = data.draw(st.lists(numbers, min_size=rank * columns, max_size=rank * columns))
    if dtype == "F16":
        outer, inner = ([x if abs(x) >= 2.0**-24 else 0.0 for x in m] for m in (outer, inner))
    left = np.array([Fraction(x) for x in outer], object).reshape(rows, rank)
    right = np.array([Fraction(x) for x in inner], object).reshape(rank, columns)
    square = sum(x * x for x in (left @ right).ravel())
    stored = (dtype, _stored(dtype, outer)), (dtype, _stored(dtype, inner))
    assert not product_reaches(*stored, rank, square + Fraction(1, 2**600))
    if square:  # up to the stated rank the answer is exact
        assert product_reaches(*stored, rank, square)


@given(st.integers(0, 2**32))
def test_a_product_that_the_signs_do_not_see_counts_by_its_norm(seed: int) -> None:
    """It is orthogonal to the fixed signs, and wider than one piece of the Gram matrix."""
    random = np.random.default_rng(seed)
    signs = np.array(_signs(64))
    inner = random.normal(0, 1, (3, 64)).astype(np.float32).astype(object)
    inner = np.array([[float(np.float32(x)) for x in row] for row in inner])
    inner[:, 1::2] = inner[:, ::2] * -signs[::2] * signs[1::2]
    outer = np.float32(random.normal(0, 1, (5, 3))).astype(float)
    exact = np.array([[Fraction(x) for x in row] for row in outer]) @ np.array(
        [[Fraction(x) for x in row] for row in inner]
    )
    square = sum(x * x for x in exact.ravel())
    stored = [("F32", _stored("F32", m.ravel().tolist())) for m in (outer, inner)]
    assert product_reaches(*stored, 3, square)
    assert not product_reaches(*stored, 3, square + Fraction(1, 2**600))
    times = EXACT_RANK  # the same product and more, at a rank where the signs alone are asked
    wide = [np.tile(outer, (1, times)), np.tile(inner, (times, 1))]
    asked = [("F32", _stored("F32", m.ravel().tolist())) for m in wide]
    assert not product_reaches(*asked, 3 * times, square)


@pytest.mark.parametrize("dtype", ["F32", "F16"])
@given(data=st.data())
def test_rounding_to_bfloat16_agrees_with_torchs_rule(dtype: str, data: st.DataObject) -> None:
    """Half a unit up, the even one of two: what adding 0x7FFF and the lowest kept bit gives."""
    width = 16 if dtype == "F16" else 32
    number = data.draw(st.floats(-(2.0**10), 2.0**10, width=width))
    (rounded,) = rounded_to_bfloat16((number,))
    below, above = _neighbours(number)
    assert rounded in (below, above)
    nearest = min((below, above), key=lambda x: abs(Fraction(x) - Fraction(number)))
    if abs(Fraction(below) - Fraction(number)) != abs(Fraction(above) - Fraction(number)):
        assert rounded == nearest
    else:
        assert struct.unpack("<I", struct.pack("<f", rounded))[0] >> 16 & 1 == 0 or below == above


def _neighbours(number: float) -> tuple[float, float]:
    """The bfloat16 numbers on both sides of a number, towards zero and away from it."""
    word = struct.unpack("<I", struct.pack("<f", number))[0] & 0xFFFF0000
    towards: float = struct.unpack("<f", struct.pack("<I", word))[0]
    away: float = struct.unpack("<f", struct.pack("<I", word + 0x10000))[0]
    return (towards, towards) if towards == number else (towards, away)


@given(st.integers(0, 2**32), st.sampled_from(["F32", "BF16"]), st.sampled_from([24, 1024]))
def test_steps_of_an_honest_run_count(seed: int, dtype: str, columns: int) -> None:
    """One step of 1e-4 on a fresh factor, beside a weight as it is drawn for its width."""
    random = np.random.default_rng(seed)
    inner = random.uniform(-1, 1, 4 * columns) / columns**0.5
    outer = random.choice([-1e-4, 1e-4], 16 * 4)
    weight = random.normal(0, columns**-0.5, 16 * columns)
    least = METHOD.least_square(stated_norm((weight**2).tolist()), 16 * columns)
    assert product_reaches(
        (dtype, _stored(dtype, outer.tolist())), (dtype, _stored(dtype, inner.tolist())), 4, least
    )


@given(st.integers(0, 2**32))
def test_a_delta_that_rounds_away_everywhere_does_not_count(seed: int) -> None:
    """Each element is below half a unit in the last place of the weight's."""
    random = np.random.default_rng(seed)
    weight = random.choice([-1.0, 1.0], (8, 16)).astype(np.float32)
    inner, outer = np.full((4, 16), 2.0**-14), np.full((8, 4), 2.0**-14)
    inner *= random.choice([-1, 1], inner.shape)
    delta = METHOD.alpha / METHOD.rank * outer @ inner
    assert (weight + delta.astype(np.float32) == weight).all()
    least = METHOD.least_square(stated_norm((weight**2).ravel().tolist()), weight.size)
    stored = [("F32", _stored("F32", m.ravel().tolist())) for m in (outer, inner)]
    assert not product_reaches(*stored, 4, least)


@pytest.mark.parametrize("size", [2.0**-149, 1e-38, 2.0**-64])
def test_a_product_that_underflows_does_not_count_beside_any_weight(size: float) -> None:
    least = ("F32", struct.pack("<f", size))
    method = _lora(rank=1, alpha=65536, rslora=True)
    assert not product_reaches(least, least, 1, method.least_square("0", 1))


@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16"])
@given(st.lists(st.sampled_from([0.0, -1.0, 0.5, 3.0, 2.0**-14, 96.0]), max_size=50))
def test_a_sum_of_squares_is_exact_where_float64_is(dtype: str, numbers: list[float]) -> None:
    raw = struct.pack(f"<{len(numbers)}d", *numbers) if dtype == "F64" else _stored(dtype, numbers)
    assert square_sum(dtype, raw) == sum(x * x for x in numbers)


@given(st.floats(1e-45, 1e40), st.integers(1, 100))
def test_a_norm_is_stated_in_six_digits_rounded_up(size: float, count: int) -> None:
    stated = float(stated_norm([size * size] * count))
    norm = size * count**0.5
    assert norm * (1 - 1e-14) <= stated <= norm * (1 + 1.1e-5)


def test_the_norm_of_what_is_no_float_is_not_known() -> None:
    assert square_sum("I8", b"abcd") is None
    assert stated_norm([]) == stated_norm([0.0]) == "0"


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_numbers_of_any_trained_size_are_moderate_and_huge_ones_are_not(dtype: str) -> None:
    for number in (0.0, 1e-38, -65504.0, 2.0**32):
        assert all_moderate(dtype, _stored(dtype, [1.0, number]))
    for number in (2.0**33, -3e38):
        assert not all_moderate(dtype, _stored(dtype, [1.0, number]))


def _stored(dtype: str, numbers: list[float]) -> bytes:
    if dtype == "F16":
        return struct.pack(f"<{len(numbers)}e", *numbers)
    wide = struct.pack(f"<{len(numbers)}f", *numbers)
    if dtype == "F32":
        return wide
    return b"".join(wide[start + 2 : start + 4] for start in range(0, len(wide), 4))


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", [0, 511, 1023])
def test_one_bad_value_among_many_is_found(dtype: str, value: float, place: int) -> None:
    values = [0.5] * 1024
    values[place] = value
    raw = b"".join(struct.pack(FORMATS[dtype], v) for v in values)
    assert not all_finite(dtype, raw)


@pytest.mark.parametrize(
    ("dtype", "raw", "finite"),
    [
        ("BF16", b"\x80\x7f", False),
        ("BF16", b"\x80\xff", False),
        ("BF16", b"\x7f\x7f", True),
        ("BF16", b"\x80\x3f", True),
        ("F8_E5M2", b"\x7c", False),
        ("F8_E5M2", b"\x7b", True),
        ("F8_E4M3", b"\x7f", False),
        ("F8_E4M3", b"\x7e", True),
        ("I32", b"\xff\xff\xff\xff", True),
    ],
)
def test_small_formats(dtype: str, raw: bytes, finite: bool) -> None:
    assert all_finite(dtype, raw) is finite


def test_the_largest_finite_values_are_finite_even_when_there_are_many() -> None:
    raw = struct.pack("<f", 3.4e38) * 200_000
    assert all_finite("F32", raw)
    assert not all_finite("F32", raw + struct.pack("<f", float("inf")))


def test_minus_zero_is_zero_only_for_floats() -> None:
    minus = struct.pack("<f", -0.0) * 4
    assert is_zero("F32", minus)
    assert not is_zero("I32", minus)
    assert is_zero("F32", b"")
    assert not is_zero("F32", bytes(1_000_000) + struct.pack("<f", 1e-45))


def test_ten_megabytes_take_well_under_a_second() -> None:
    raw = struct.pack("<2f", 0.01, -3.4e38) * 1_250_000
    started = time.perf_counter()
    assert all_finite("F32", raw)
    assert time.perf_counter() - started < 1.0  # 0.03 s on a quiet core


@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16"])
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("count", [0, 1, 5_000_000])
def test_repeated_elements_are_what_numpy_repeats(dtype: str, number: int, count: int) -> None:
    pieces = repeated(dtype, number, count)
    assert pieces is not None
    raw = b"".join(pieces)
    if dtype == "BF16":
        dtype, raw = "F32", widened_bfloat16(raw)
    assert (np.frombuffer(raw, FORMATS[dtype]) == np.full(count, number)).all()
    assert len(raw) == count * np.dtype(FORMATS[dtype]).itemsize


def test_integers_have_no_ones_to_repeat() -> None:
    assert repeated("I32", 0, 3) is None
