"""A checkpoint's half-precision tensors as they are in memory after loading in float32.

Widening is exact, so the digest of what training had in memory follows from the checkpoint's
bytes. Without numpy: the verifier has none.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

from kolm.bundle.tensors import parse_header, tensor_digest
from kolm.digest import Digest
from kolm.elements import widened_bfloat16

WIDENED = {"F16": "F32", "BF16": "F32"}
_PIECE_BYTES = 1024 * 1024  # a multiple of two; keeps the list of numbers in between small


def widened_digests(shard: Path, keys: Iterable[str]) -> dict[str, Digest]:
    """The digests that tensors of a checkpoint file have in float32.

    Args:
        shard: a safetensors file, already measured.
        keys: tensors in it whose dtype is in `WIDENED`.
    """
    from kolm.bundle.ranges import Ranges  # only an auditor with a base has shards

    wanted = set(keys)
    with Ranges(shard) as data:
        return {
            entry.name: tensor_digest(
                "F32",
                entry.shape,
                (widen(entry.dtype, piece) for piece in data.pieces(entry.start, entry.end)),
            )
            for entry in parse_header(data, where=shard.name, canonical_form=False)
            if entry.name in wanted
        }


def widen(dtype: str, raw: bytes | bytearray | memoryview) -> bytes:
    """Little-endian F16 or BF16 elements as F32 elements of the same values."""
    if dtype == "BF16":
        return widened_bfloat16(raw)
    pieces = []
    for start in range(0, len(raw), _PIECE_BYTES):
        piece = raw[start : start + _PIECE_BYTES]
        count = len(piece) // 2
        pieces.append(struct.pack(f"<{count}f", *struct.unpack(f"<{count}e", piece)))
    return b"".join(pieces)
