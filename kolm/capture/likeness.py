"""Capture: which pictures look almost the same (docs/format/snapshot.md, rules S10 to S12).

A signature is 56 bytes: a 64-bit difference hash of luminance over 8 rows of 9 cells, and the mean
RGB colour of 4 by 4 cells. Both are computed from all pixels in integers, so every machine gets
the same ones. The difference hash follows N. Krawetz, "Kind of Like That" (2013), with box means
instead of a resampling filter, whose rounding is a library's own affair.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from kolm.capture import extras
from kolm.score.clusters import root

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image as Pillow

    Numbers: TypeAlias = NDArray[np.integer]

METHOD: Final = "dhash-8x8-color-v1"
HASH_ROWS, HASH_COLUMNS, COLOR_CELLS = 8, 9, 4
SIGNATURE_BYTES = 8 + COLOR_CELLS * COLOR_CELLS * 3
MAX_HASH_BITS = 4  # of 64: survives re-compression and scaling, not another content
MAX_MEAN_COLOR = 8  # of 255, mean over the 48 colour values: 3 %, below what a re-save changes
LUMA = (299, 587, 114)  # thousandths; ITU-R BT.601
Name = TypeVar("Name", bound=str)  # what pictures are called by: their files' digests
PIXELS_AT_ONCE = 1 << 20  # of one picture, beside the picture itself
PAIRS_AT_ONCE = 4_000_000  # pairs compared in one step: 32 MB of differences


def signature(picture: Pillow.Image) -> bytes:
    """The signature of an upright RGB picture: 56 bytes."""
    numpy = extras.numpy()
    luma = _cell_means(numpy, picture, HASH_ROWS, HASH_COLUMNS, numpy.array(LUMA))
    brighter = luma[:, :-1] > luma[:, 1:]
    colors = _cell_means(numpy, picture, COLOR_CELLS, COLOR_CELLS, None)
    return bytes(numpy.packbits(brighter)) + bytes(colors.astype(numpy.uint8).tobytes())


def _cell_means(
    numpy: ModuleType, picture: Pillow.Image, rows: int, columns: int, weights: Numbers | None
) -> Numbers:
    """Means over a grid, rounded down; a cell of a tiny picture is at least one pixel."""
    tops, heights = _cells(numpy, picture.height, rows)
    lefts, widths = _cells(numpy, picture.width, columns)
    bands = numpy.stack(
        [
            _column_sums(numpy, picture, top, top + height)
            for top, height in zip(tops.tolist(), heights.tolist(), strict=True)
        ]
    )
    sums = numpy.add.reduceat(bands, lefts, axis=1)
    areas = numpy.outer(heights, widths)
    means: Numbers = sums // areas[..., None] if weights is None else (sums @ weights) // areas
    return means


def _column_sums(numpy: ModuleType, picture: Pillow.Image, top: int, bottom: int) -> Numbers:
    """The sums of rows `top` to `bottom`, a few rows at a time: width × 3."""
    step = max(1, PIXELS_AT_ONCE // picture.width)
    total: Numbers = numpy.zeros((picture.width, 3), dtype=numpy.int64)
    for start in range(top, bottom, step):
        rows = picture.crop((0, start, picture.width, min(bottom, start + step)))
        total += numpy.asarray(rows).sum(axis=0, dtype=numpy.int64)
    return total


def _cells(numpy: ModuleType, size: int, count: int) -> tuple[Numbers, Numbers]:
    starts = numpy.arange(count) * size // count
    sizes = numpy.diff(numpy.append(starts, size))
    return starts, numpy.maximum(sizes, 1)


def twins(left: Mapping[Name, bytes], right: Mapping[Name, bytes]) -> list[tuple[Name, Name]]:
    """The nearest near twin in `right` of every picture in `left` that has one, sorted by digest.

    Args:
        left: signatures by file digest, for example of the eval images.
        right: signatures by file digest, for example of the train images.
    """
    left_names, right_names = sorted(left), sorted(right)
    found = []
    for row, near, distances in _near(
        [left[name] for name in left_names], [right[name] for name in right_names]
    ):
        found.append((left_names[row], right_names[int(near[int(distances.argmin())])]))
    return found


def families(signatures: Mapping[Name, bytes]) -> dict[Name, Name]:
    """For every picture the smallest name among its near twins, directly or through others.

    Args:
        signatures: by pixel digest; a picture is its own twin.
    """
    names = sorted(signatures)
    ordered = [signatures[name] for name in names]
    parent = list(range(len(names)))

    for row, near, _ in _near(ordered, ordered):
        for other in near.tolist():
            first, second = sorted((root(parent, row), root(parent, other)))
            parent[second] = first
    return {name: names[root(parent, index)] for index, name in enumerate(names)}


def _near(left: list[bytes], right: list[bytes]) -> Iterator[tuple[int, Numbers, Numbers]]:
    """Each place of `left` with near twins: their places in `right`, and their colour distances."""
    if not left or not right:
        return
    numpy = extras.numpy()
    left_hashes, left_colors = _columns(numpy, left)
    right_hashes, right_colors = _columns(numpy, right)
    step = max(1, PAIRS_AT_ONCE // len(right))
    most = MAX_MEAN_COLOR * right_colors.shape[1]
    for start in range(0, len(left), step):
        bits = numpy.bitwise_count(left_hashes[start : start + step, None] ^ right_hashes[None])
        for row in range(len(bits)):
            near = numpy.flatnonzero(bits[row] <= MAX_HASH_BITS)
            if not len(near):
                continue
            distances = numpy.abs(right_colors[near] - left_colors[start + row]).sum(axis=1)
            close = distances <= most
            if close.any():
                yield start + row, near[close], distances[close]


def _columns(numpy: ModuleType, signatures: list[bytes]) -> tuple[Numbers, Numbers]:
    table = numpy.frombuffer(b"".join(signatures), dtype=numpy.uint8)
    table = table.reshape(len(signatures), SIGNATURE_BYTES)
    hashes = numpy.ascontiguousarray(table[:, :8]).view(numpy.uint64)[:, 0]
    return hashes, table[:, 8:].astype(numpy.int16)
