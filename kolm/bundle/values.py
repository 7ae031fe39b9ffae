"""The bundle: questions about raw tensor values, without numpy: all finite? all zero?

The work is done by slicing out the bytes that hold the exponent and translating them, so that a
megabyte costs about a millisecond and hostile values cost no more than honest ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from kolm.bundle import limits

_PIECE_BYTES = 4 * limits.MIB  # a multiple of every element size


def _table(test: Callable[[int], bool]) -> bytes:
    return bytes(255 if test(byte) else 0 for byte in range(256))


# A float is not finite when every exponent bit is set (IEEE 754); the formats differ in how many
# of these bits lie in the last little-endian byte and in the one before it.
_EXPONENT: Final = {
    "F64": (8, _table(lambda b: b & 0x7F == 0x7F), _table(lambda b: b & 0xF0 == 0xF0)),
    "F32": (4, _table(lambda b: b & 0x7F == 0x7F), _table(lambda b: b & 0x80 == 0x80)),
    "BF16": (2, _table(lambda b: b & 0x7F == 0x7F), _table(lambda b: b & 0x80 == 0x80)),
    "F16": (2, _table(lambda b: b & 0x7C == 0x7C), None),
    "F8_E5M2": (1, _table(lambda b: b & 0x7C == 0x7C), None),
    "F8_E4M3": (1, _table(lambda b: b & 0x7F == 0x7F), None),  # the "fn" form: NaN, no infinity
}


def all_finite(dtype: str, raw: bytes | memoryview) -> bool:
    """Whether no element is NaN or infinite; integers and booleans always are finite.

    Args:
        dtype: a safetensors dtype.
        raw: the little-endian bytes of the elements.
    """
    form = _EXPONENT.get(dtype)
    if form is None:
        return True
    width, last_table, second_table = form
    for piece in _pieces(raw):
        last = piece[width - 1 :: width].translate(last_table)
        if 255 not in last:
            continue
        if second_table is None:
            return False
        second = piece[width - 2 :: width].translate(second_table)
        if int.from_bytes(last, "little") & int.from_bytes(second, "little"):
            return False
    return True


def is_zero(dtype: str, raw: bytes | memoryview) -> bool:
    """Whether every element is zero; for floats, minus zero is zero too."""
    form = _EXPONENT.get(dtype)
    width = form[0] if form else 1
    for piece in _pieces(raw):
        if not any(piece[:64]) and piece.count(0) == len(piece):
            continue
        if form is None:
            return False
        signs = piece[width - 1 :: width]
        if signs.count(0) + signs.count(0x80) != len(signs):
            return False
        if any(
            piece[offset::width].count(0) != len(piece[offset::width])
            for offset in range(width - 1)
        ):
            return False
    return True


def _pieces(raw: bytes | memoryview) -> Iterator[bytes]:
    view = memoryview(raw)
    for start in range(0, len(view), _PIECE_BYTES):
        yield bytes(view[start : start + _PIECE_BYTES])
