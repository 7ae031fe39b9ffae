"""The floor: questions about the raw elements of a tensor, without numpy: all finite? all zero?
how large is a product?

Most of the work is done by slicing out the bytes that hold the exponent and translating them, so
that a megabyte costs about a millisecond and hostile values cost no more than honest ones.
"""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Final

from kolm import digest

_PIECE_BYTES = 4 * 1024 * 1024  # a multiple of every element size


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


_LARGE: Final = _table(lambda b: b & 0x7F >= 0x50)  # exponent bits of 2^33 and above


def all_moderate(dtype: str, raw: bytes | memoryview) -> bool:
    """Whether every element is finite, and one of F32 or BF16 below 2^33 in size.

    No trained weight comes near it. Two factors within it, a rank of 1024 and a scale of 65536 give
    products below 2^92, so that nothing overflows in float32.
    """
    width = {"F32": 4, "BF16": 2}.get(dtype)
    if width is None:
        return all_finite(dtype, raw)
    return all(255 not in piece[width - 1 :: width].translate(_LARGE) for piece in _pieces(raw))


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


NEGLIGIBLE: Final = Fraction(1, 2**24)  # half a unit in the last place of float32, relative
EXACT_RANK: Final = 32  # above it, a product's norm costs more than a second a megabyte
_GRAM_ELEMENTS: Final = 1 << 18  # integers that are held at once


def product_reaches(
    outer: tuple[str, bytes | memoryview],
    inner: tuple[str, bytes | memoryview],
    rank: int,
    square: Fraction,
) -> bool:
    """Whether the Frobenius norm of the product of two matrices is at least some number.

    The product M is multiplied with one fixed vector v of n signs, in exact integers:
    |M v| / sqrt(n) never exceeds the norm of M, and is nearly always enough to see that M reaches
    the number. Where it is not, the norm itself decides, up to `EXACT_RANK`: its square is the sum
    of the products of the elements of two Gram matrices, those of the columns of the left factor
    and of the rows of the right one. Above that rank a product of less than some sqrt(n) times the
    number may be taken for less than it.

    Args:
        outer: dtype (F32, BF16 or F16) and little-endian bytes of the left matrix, (rows, rank).
        inner: of the right one, (rank, columns).
        rank: at least 1.
        square: the square of the number; above 0.
    """
    columns = len(inner[1]) // (_WIDTHS[inner[0]] * rank)
    # Both factors carry 2^149, so a sum of squares of the product carries it four times.
    least = square * 2 ** (4 * 149)
    if _image_reaches(outer, inner, rank, columns, math.ceil(columns * least)):
        return True
    if rank > EXACT_RANK:
        return False
    left, right = _gram(*outer, rank, lines=False), _gram(*inner, rank, lines=True)
    return bool(sum(map(operator.mul, left, right)) >= least)


def _image_reaches(
    outer: tuple[str, bytes | memoryview],
    inner: tuple[str, bytes | memoryview],
    rank: int,
    columns: int,
    limit: int,
) -> bool:
    """Whether the image of the signs under the product has a square of at least a limit."""
    signs = _signs(columns)
    image = [0] * rank
    for place, number in enumerate(integers(*inner)):
        image[place // columns] += number * signs[place % columns]
    reached, total = 0, 0
    for place, number in enumerate(integers(*outer)):
        total += number * image[place % rank]
        if place % rank == rank - 1:
            reached += total * total
            if reached >= limit:
                return True
            total = 0
    return False


def _gram(dtype: str, raw: bytes | memoryview, rank: int, *, lines: bool) -> list[int]:
    """The inner products of `rank` vectors with one another, row by row, times 2^298.

    Args:
        dtype: of the elements.
        raw: a matrix whose rows are the vectors where `lines` is set, else its columns.
        rank: how many vectors there are.
        lines: see `raw`.
    """
    view, width = memoryview(raw), _WIDTHS[dtype]
    length = len(view) // (width * rank)
    at_once = max(1, _GRAM_ELEMENTS // rank)
    sums = [0] * (rank * rank)
    for start in range(0, length, at_once):
        end = min(start + at_once, length)
        if lines:
            vectors = [
                list(
                    integers(dtype, view[(row * length + start) * width :][: (end - start) * width])
                )
                for row in range(rank)
            ]
        else:
            some = list(integers(dtype, view[start * rank * width : end * rank * width]))
            vectors = [some[column::rank] for column in range(rank)]
        for row in range(rank):
            for column in range(row, rank):
                part = sum(map(operator.mul, vectors[row], vectors[column]))
                sums[row * rank + column] += part
                if row != column:
                    sums[column * rank + row] += part
    return sums


def _signs(count: int) -> list[int]:
    """Signs that follow from a fixed seed: those of no trained matrix line up with them."""
    stream = digest.Stream(digest.of_bytes(b"kolm signs"))
    return [1 if stream.uint32() & 1 else -1 for _ in range(count)]


_WIDTHS: Final = {"F32": 4, "BF16": 2, "F16": 2}


ONE: Final = 2**149  # the number 1 among the `integers` of a tensor


def integers(dtype: str, raw: bytes | memoryview) -> Iterator[int]:
    """The finite elements times 2^149, which makes an integer of every float32."""
    code = "e" if dtype == "F16" else "f"
    for piece in _pieces(raw):
        if dtype == "BF16":
            piece = widened_bfloat16(piece)
        for start in range(0, len(piece), _LITTLE_BYTES):
            some = piece[start : start + _LITTLE_BYTES]
            for number in struct.unpack(f"<{len(some) // struct.calcsize(code)}{code}", some):
                yield int(number * float(ONE))


_LITTLE_BYTES: Final = 64 * 1024  # unpacked numbers take eight times their bytes


_FLOATS: Final = {"F64": "d", "F32": "f", "F16": "e"}


def repeated(dtype: str, number: int, count: int) -> Iterator[bytes] | None:
    """The bytes of `count` elements of one value, in pieces; None for a dtype that is no float.

    Args:
        dtype: of safetensors.
        number: a whole number that every float holds, as 0 and 1 are.
        count: of elements.
    """
    if dtype == "BF16":
        one = struct.pack("<f", number)[2:]
    elif dtype in _FLOATS:
        one = struct.pack(f"<{_FLOATS[dtype]}", number)
    else:
        return None
    at_once = _PIECE_BYTES // len(one)
    return (one * min(at_once, count - start) for start in range(0, count, at_once))


WIDENED: Final = {"F16": "F32", "BF16": "F32"}  # what loading makes of half precision, exactly


def widened(dtype: str, raw: bytes | bytearray | memoryview) -> bytes:
    """Little-endian F16 or BF16 elements as F32 elements of the same values."""
    if dtype == "BF16":
        return widened_bfloat16(raw)
    pieces = []
    for start in range(0, len(raw), _LITTLE_BYTES):
        piece = raw[start : start + _LITTLE_BYTES]
        count = len(piece) // 2
        pieces.append(struct.pack(f"<{count}f", *struct.unpack(f"<{count}e", piece)))
    return b"".join(pieces)


def widened_bfloat16(raw: bytes | bytearray | memoryview) -> bytes:
    """Little-endian BF16 elements as F32 elements of the same values: their upper halves."""
    wide = bytearray(2 * len(raw))
    wide[2::4], wide[3::4] = raw[0::2], raw[1::2]
    return bytes(wide)


def _pieces(raw: bytes | memoryview) -> Iterator[bytes]:
    view = memoryview(raw)
    for start in range(0, len(view), _PIECE_BYTES):
        yield bytes(view[start : start + _PIECE_BYTES])
