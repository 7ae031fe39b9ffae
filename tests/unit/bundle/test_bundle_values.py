"""Raw values: finite and zero, held equal to numpy, and fast without it."""

from __future__ import annotations

import struct
import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm.bundle.values import all_finite, all_moderate, is_zero, product_vanishes

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


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
@given(data=st.data())
def test_what_does_not_vanish_has_an_element_that_float32_holds(
    dtype: str, data: st.DataObject
) -> None:
    rows, rank, columns = (data.draw(st.integers(1, 3)) for _ in range(3))
    numbers = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 2.0**-14, 3.0, 2.0**-70, 2.0**-126])
    outer = data.draw(st.lists(numbers, min_size=rows * rank, max_size=rows * rank))
    inner = data.draw(st.lists(numbers, min_size=rank * columns, max_size=rank * columns))
    if dtype == "F16":
        outer, inner = ([x if abs(x) >= 2.0**-24 else 0.0 for x in m] for m in (outer, inner))
    left = np.array([Fraction(x) for x in outer], object).reshape(rows, rank)
    right = np.array([Fraction(x) for x in inner], object).reshape(rank, columns)
    largest = max(abs(x) for x in (left @ right).ravel())
    vanishes = product_vanishes(
        (dtype, _stored(dtype, outer)), (dtype, _stored(dtype, inner)), rank=rank
    )
    if largest < Fraction(1, 2**126):
        assert vanishes
    if columns == 1:  # nothing can cancel among the columns
        assert vanishes == (largest < Fraction(1, 2**126))


@given(st.integers(0, 2**32), st.sampled_from(["F32", "BF16", "F16"]))
def test_a_trained_product_does_not_vanish(seed: int, dtype: str) -> None:
    """Steps of 1e-4 on a fresh factor, as the first steps of a run make them."""
    random = np.random.default_rng(seed)
    inner = random.uniform(-0.3, 0.3, 4 * 24).tolist()
    outer = random.choice([-1e-4, 1e-4], 16 * 4).tolist()
    assert not product_vanishes(
        (dtype, _stored(dtype, outer)), (dtype, _stored(dtype, inner)), rank=4
    )


@pytest.mark.parametrize("size", [2.0**-149, 1e-38, 2.0**-64])
def test_a_product_that_underflows_vanishes(size: float) -> None:
    least = struct.pack("<f", size)
    assert product_vanishes(("F32", least), ("F32", least), rank=1)


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
