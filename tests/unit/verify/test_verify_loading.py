"""What loading makes of a checkpoint follows from its bytes, without numpy: as numpy makes it."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy
import pytest

from kolm.bundle import tensor_writer, tensors
from kolm.elements import widened
from kolm.errors import Unreadable
from kolm.format.base import BaseTensor
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


def written(folder: Path, **stored: tuple[str, tuple[int, ...], bytes]) -> dict[str, BaseTensor]:
    """A checkpoint of these tensors in two files, and what an audit knows of each."""
    found = {}
    for number, (key, (dtype, shape, raw)) in enumerate(stored.items()):
        file = f"{number % 2}.safetensors"
        found[key] = BaseTensor(
            digest=tensors.tensor_digest(dtype, shape, raw),
            dtype=dtype, file=file, key=key, shape=shape, elements=math.prod(shape),
        )  # fmt: skip
    for file in {tensor.file for tensor in found.values()}:
        own = {key: stored[key] for key, tensor in found.items() if tensor.file == file}
        (folder / file).write_bytes(tensor_writer.encode(own))
    return found


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_the_digest_is_that_of_the_float32_tensor(tmp_path: Path, dtype: str) -> None:
    raw = struct.pack("<6H", 0, 0x3C00, 0x8000, 1, 0x7BFF, 0xC000)
    stored = written(tmp_path, w=(dtype, (2, 3), raw), other=("F32", (1,), b"abcd"))
    expected = tensors.tensor_digest("F32", (2, 3), widened(dtype, raw))
    found = digests_as_loaded(tmp_path, {"w": Loaded("F32", (2, 3), (stored["w"],))})
    assert found == {"w": expected}


@pytest.mark.parametrize(("dtype", "kind"), [("F32", "<f4"), ("BF16", "<u2"), ("I8", "i1")])
def test_swapped_axes_digest_as_the_tensor_that_numpy_turns(
    tmp_path: Path, dtype: str, kind: str
) -> None:
    plain = numpy.arange(24).reshape(2, 3, 4).astype(kind)
    stored = written(tmp_path, w=(dtype, (2, 3, 4), plain.tobytes()))
    turned = numpy.swapaxes(plain, 1, 2).tobytes()
    loaded = Loaded(dtype, (2, 4, 3), (stored["w"],), swapped=True)
    found = digests_as_loaded(tmp_path, {"w": loaded})
    assert found == {"w": tensors.tensor_digest(dtype, (2, 4, 3), turned)}
    if dtype == "BF16":
        found = digests_as_loaded(tmp_path, {"w": loaded._replace(dtype="F32")})
        wide = widened(dtype, turned)
        assert found == {"w": tensors.tensor_digest("F32", (2, 4, 3), wide)}


def test_parts_digest_as_the_tensor_that_they_make_one_after_the_other(tmp_path: Path) -> None:
    parts = [bytes([number]) * 8 for number in range(4)]
    shaped = {f"e{number}": ("I8", (2, 4), raw) for number, raw in enumerate(parts)}
    stored = written(tmp_path, **shaped)
    loaded = Loaded("I8", (2, 4, 4), tuple(stored.values()))
    found = digests_as_loaded(tmp_path, {"w": loaded})
    assert found == {"w": tensors.tensor_digest("I8", (2, 4, 4), b"".join(parts))}
    turned = loaded._replace(parts=tuple(reversed(stored.values())))
    assert digests_as_loaded(tmp_path, {"w": turned}) != found


@pytest.mark.parametrize(
    "now",
    [
        {"other": ("BF16", (2, 3), bytes(12))},
        {"w": ("BF16", (3, 2), bytes(12))},
        {"w": ("F32", (2, 3), bytes(24))},
    ],
)
def test_a_file_that_is_another_one_by_now_is_said_to_have_changed(
    tmp_path: Path, now: dict[str, tuple[str, tuple[int, ...], bytes]]
) -> None:
    stored = written(tmp_path, w=("BF16", (2, 3), bytes(12)))
    written(tmp_path, **now)
    with pytest.raises(Unreadable) as caught:
        digests_as_loaded(tmp_path, {"w": Loaded("F32", (2, 3), (stored["w"],))})
    assert (caught.value.code, caught.value.where) == ("E_BASE_CHANGED", "0.safetensors")
