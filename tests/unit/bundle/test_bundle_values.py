"""Raw values: finite and zero, held equal to numpy, and fast without it."""

from __future__ import annotations

import struct
import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm.bundle.values import all_finite, is_zero, product_is_zero

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
def test_a_product_is_zero_exactly_when_fractions_say_so(dtype: str, data: st.DataObject) -> None:
    rows, rank, columns = (data.draw(st.integers(1, 3)) for _ in range(3))
    numbers = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0**-14, 3.0])
    outer = data.draw(st.lists(numbers, min_size=rows * rank, max_size=rows * rank))
    inner = data.draw(st.lists(numbers, min_size=rank * columns, max_size=rank * columns))
    left = np.array([Fraction(x) for x in outer], object).reshape(rows, rank)
    right = np.array([Fraction(x) for x in inner], object).reshape(rank, columns)
    found = product_is_zero(
        (dtype, _stored(dtype, outer)), (dtype, _stored(dtype, inner)), rank=rank
    )
    assert found == (not (left @ right).any())


def test_a_product_below_every_float_is_not_zero() -> None:
    least = struct.pack("<f", 2.0**-149)
    assert not product_is_zero(("F32", least), ("F32", least), rank=1)


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
