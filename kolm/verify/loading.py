"""A checkpoint's tensors as they are in memory after loading: half precision made float32, or the
last two axes of a family's experts swapped.

Both are exact, so the digest of what training had in memory follows from the checkpoint's bytes.
Without numpy: the verifier has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from kolm.bundle.ranges import Ranges
from kolm.bundle.tensors import TensorEntry, parse_header, tensor_digest
from kolm.digest import Digest
from kolm.elements import widened

# Formats of the struct module, by an element's bytes.
_FORMATS: Mapping[int, Literal["B", "H", "I", "Q"]] = {1: "B", 2: "H", 4: "I", 8: "Q"}


class Loaded(NamedTuple):
    """How a tensor is in memory.

    Attributes:
        dtype: the stored one, or the one that `elements.WIDENED` makes of it.
        swapped: the last two axes are the other way round.
    """

    dtype: str
    swapped: bool


def digests_as_loaded(shard: Path, wanted: Mapping[str, Loaded]) -> dict[str, Digest]:
    """The digests that tensors of a checkpoint file have in memory.

    Args:
        shard: a safetensors file, already measured.
        wanted: for keys in it what loading makes of them.
    """
    with Ranges(shard) as data:
        return {
            entry.name: _digest(data, entry, wanted[entry.name])
            for entry in parse_header(data, where=shard.name, canonical_form=False)
            if entry.name in wanted
        }


def swapped_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape with its last two axes the other way round."""
    return (*shape[:-2], *reversed(shape[-2:]))


def _digest(data: Ranges, entry: TensorEntry, loaded: Loaded) -> Digest:
    shape = swapped_shape(entry.shape) if loaded.swapped else entry.shape
    pieces: Iterable[bytes] = data.pieces(entry.start, entry.end)
    if loaded.swapped:
        pieces = _swapped(data, entry)
    if loaded.dtype != entry.dtype:
        pieces = (widened(entry.dtype, piece) for piece in pieces)
    return tensor_digest(loaded.dtype, shape, pieces)


def _swapped(data: Ranges, entry: TensorEntry) -> Iterator[bytes]:
    """The bytes of a tensor with its last two axes swapped, one matrix at a time."""
    if not entry.elements:
        return
    rows, columns = entry.shape[-2:]
    width = (entry.end - entry.start) // entry.elements
    matrix_bytes = rows * columns * width
    for start in range(entry.start, entry.end, matrix_bytes):
        matrix = memoryview(data[start : start + matrix_bytes]).cast(_FORMATS[width])
        yield b"".join(matrix[column::columns].tobytes() for column in range(columns))
