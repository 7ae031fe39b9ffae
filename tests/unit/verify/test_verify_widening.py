"""Widening half precision without numpy gives the bits that numpy gives."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy
import pytest

from kolm.bundle import tensor_writer, tensors
from kolm.elements import widened
from kolm.verify.loading import Loaded, digests_as_loaded

ALL_HALVES = struct.pack("<65536H", *range(65536))


def test_every_f16_widens_as_in_numpy() -> None:
    halves = numpy.frombuffer(ALL_HALVES, dtype="<f2")
    wide = numpy.frombuffer(widened("F16", ALL_HALVES), dtype="<f4")
    finite = numpy.isfinite(halves)
    assert (wide[finite].view("<u4") == halves[finite].astype("<f4").view("<u4")).all()
    assert (numpy.isnan(wide) == numpy.isnan(halves)).all()


def test_every_bf16_is_the_upper_half_of_a_float32() -> None:
    wide = numpy.frombuffer(widened("BF16", ALL_HALVES), dtype="<u4")
    assert (wide == numpy.arange(65536, dtype="<u4") << 16).all()


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_the_digest_is_that_of_the_float32_tensor(tmp_path: Path, dtype: str) -> None:
    raw = struct.pack("<6H", 0, 0x3C00, 0x8000, 1, 0x7BFF, 0xC000)
    shard = tmp_path / "model.safetensors"
    shard.write_bytes(
        tensor_writer.encode({"w": (dtype, (2, 3), raw), "other": ("F32", (1,), b"abcd")})
    )
    expected = tensors.tensor_digest("F32", (2, 3), widened(dtype, raw))
    assert digests_as_loaded(shard, {"w": Loaded("F32", swapped=False)}) == {"w": expected}


@pytest.mark.parametrize(("dtype", "kind"), [("F32", "<f4"), ("BF16", "<u2"), ("I8", "i1")])
def test_swapped_axes_digest_as_the_tensor_that_numpy_turns(
    tmp_path: Path, dtype: str, kind: str
) -> None:
    stored = numpy.arange(24).reshape(2, 3, 4).astype(kind)
    shard = tmp_path / "model.safetensors"
    shard.write_bytes(tensor_writer.encode({"w": (dtype, (2, 3, 4), stored.tobytes())}))
    turned = numpy.swapaxes(stored, 1, 2).tobytes()
    found = digests_as_loaded(shard, {"w": Loaded(dtype, swapped=True)})
    assert found == {"w": tensors.tensor_digest(dtype, (2, 4, 3), turned)}
    if dtype == "BF16":
        found = digests_as_loaded(shard, {"w": Loaded("F32", swapped=True)})
        wide = widened(dtype, turned)
        assert found == {"w": tensors.tensor_digest("F32", (2, 4, 3), wide)}
