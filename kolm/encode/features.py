"""Encode: the frozen tower's features, computed once for each distinct image.

With the tower frozen its output never changes, so every epoch reads it from here, and only the
projector runs in training. Kept in memory, or in one memory-mapped file beside the run when that
would be too much; the file is found again after a kill by a key over everything that its bytes
depend on. Before use, features are compared bit for bit with the live path on a sample: with the
same images in one call, since a matrix product may round otherwise at another number of rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kolm import canonical, digest, paths
from kolm.digest import Digest
from kolm.encode.examples import Grid, ImageUse
from kolm.errors import Lacking, Refused
from kolm.events import Reporter
from kolm.models.family import FamilyRuntime

if TYPE_CHECKING:
    import torch

# Decodes the upright picture of a stored file.
PictureSource = Callable[[Digest], Any]

# One tower call holds about this many patches: enough work for the cores, little memory.
CALL_PATCHES = 8192
# Up to this the features stay in memory; the embedded base needs 32 KiB an image.
MEMORY_BYTES = 1024**3
# More than this on disk is refused: it would surprise a user more than a slower run.
DISK_BYTES = 64 * 1024**3
# Tower calls that are compared with the live path, of as many different grids.
CHECKED_CALLS = 4


@dataclass(frozen=True, slots=True, order=True)
class ImageKey:
    """What the features of an image depend on, besides the base."""

    pixels: Digest
    max_pixels: int


def key_of(use: ImageUse) -> ImageKey:
    """The key of an image as one example uses it; 0 stands for the processor's own limit."""
    return ImageKey(use.pixels, use.max_pixels or 0)


class FeatureTable:
    """Features of many images in one array; rows are patches.

    Args:
        rows: (all patches, width).
        spans: for each image its first row and number of rows.
    """

    def __init__(self, rows: torch.Tensor, spans: Mapping[ImageKey, tuple[int, int]]) -> None:
        self._rows = rows
        self._spans = spans

    def __len__(self) -> int:
        return len(self._spans)

    def gather(self, uses: Iterable[ImageUse]) -> torch.Tensor:
        """The features of images, one after the other: (patches, width)."""
        import torch

        pieces = []
        for use in uses:
            start, count = self._spans[key_of(use)]
            pieces.append(self._rows[start : start + count])
        return torch.cat(pieces)


def tower_key(
    *, base_root: str, processor: Digest, uses: Sequence[ImageUse], versions: Mapping[str, Any]
) -> Digest:
    """The key of a feature file: base, image processor, library versions and the images."""
    return digest.of_value(
        {
            "base": base_root,
            "images": [[use.pixels, use.max_pixels or 0, list(use.grid)] for use in uses],
            "processor": processor,
            "versions": dict(versions),
        }
    )


def distinct_uses(uses: Iterable[ImageUse]) -> list[ImageUse]:
    """One use of each distinct image, sorted by its key."""
    found = {key_of(use): use for use in uses}
    return [found[key] for key in sorted(found)]


def build_features(
    model: Any,
    family: FamilyRuntime,
    image_processor: Any,
    pictures: PictureSource,
    uses: Sequence[ImageUse],
    *,
    key: Digest,
    folder: Path | None,
    reporter: Reporter,
) -> FeatureTable:
    """Compute, or find again, the features of every image.

    Args:
        model: the base before PEFT wraps it.
        family: its runtime.
        image_processor: of the base.
        pictures: decodes a stored file.
        uses: distinct images, as `distinct_uses` gives them.
        key: of the feature file.
        folder: where a feature file may lie; without it everything stays in memory.
        reporter: hears the progress.

    Raises:
        Refused: an image's pixels or grid are not the ones that its capture records, or the
            features differ from the live path's.
        Lacking: the features need more disk than `DISK_BYTES`.
    """
    builder = _Builder(model, family, image_processor, pictures)
    spans: dict[ImageKey, tuple[int, int]] = {}
    start = 0
    for use in uses:
        rows = use.grid[0] * use.grid[1] * use.grid[2]
        spans[key_of(use)] = (start, rows)
        start += rows
    if not uses:
        import torch

        return FeatureTable(torch.empty(0, 0), spans)
    first = builder.compute([uses[0]])[0]
    shape = (start, int(first.shape[1]))
    store = _Store(shape, first.dtype, key=key, folder=folder)
    table = FeatureTable(store.rows, spans)
    if not store.complete:
        reporter.started("features", len(uses), "images")
        done = 0
        for group in _calls(uses):
            for use, piece in zip(group, builder.compute(group), strict=True):
                at, rows = spans[key_of(use)]
                store.rows[at : at + rows] = piece
            done += len(group)
            reporter.advanced("features", done)
        store.finish()
        reporter.finished("features")
    builder.check_live(table, uses)
    return table


class _Builder:
    """Turns pictures into features, and checks them."""

    def __init__(
        self, model: Any, family: FamilyRuntime, image_processor: Any, pictures: PictureSource
    ) -> None:
        self._model = model
        self._family = family
        self._image_processor = image_processor
        self._pictures = pictures

    def compute(self, uses: Sequence[ImageUse]) -> list[torch.Tensor]:
        """Features of images that go through the tower in one call."""
        import torch

        pixels = torch.cat([self._pixels(use) for use in uses])
        grids = [use.grid for use in uses]
        return self._family.tower_features(self._model, pixels, grids)

    def check_live(self, table: FeatureTable, uses: Sequence[ImageUse]) -> None:
        """Compare the projected features with what the library's own path gives, bit for bit.

        The last call of a grid is its smallest.
        """
        import torch

        sample = list({group[0].grid: group for group in _calls(uses)}.values())[:CHECKED_CALLS]
        for group in sample:
            grids = [use.grid for use in group]
            pixels = torch.cat([self._pixels(use) for use in group])
            with torch.no_grad():
                cached = self._family.project(self._model, table.gather(group), grids)
                live = self._family.live_features(self._model, pixels, grids)
            if not torch.equal(cached, live):
                raise Refused(
                    "E_ENCODE_FEATURES_DIFFER",
                    "cached vision features are not the ones that the model computes",
                    where=f"{len(group)} images from {group[0].pixels}",
                    expected="equal bits",
                    found=f"largest difference {float((cached - live).abs().max()):.3g}",
                )

    def _pixels(self, use: ImageUse) -> torch.Tensor:
        from kolm.capture.images import pixels_digest

        picture = self._pictures(use.file)
        found = pixels_digest(picture)
        if found != use.pixels:
            raise Refused(
                "E_ENCODE_IMAGE_CHANGED",
                "an image does not decode to the pixels that its capture records",
                where=f"image {use.file}",
                expected=use.pixels,
                found=found,
            )
        pixels, grid = self._family.pixel_values(self._image_processor, picture, use.max_pixels)
        if grid != use.grid:
            raise Refused(
                "E_ENCODE_IMAGE_TOKENS",
                "the image processor cut an image into another grid than was planned",
                where=f"image {use.file}",
                expected=str(use.grid),
                found=str(grid),
            )
        return pixels


class _Store:
    """The array of features: fresh memory, or a file that survives the process."""

    def __init__(
        self, shape: tuple[int, int], dtype: torch.dtype, *, key: Digest, folder: Path | None
    ) -> None:
        import torch

        size = shape[0] * shape[1] * dtype.itemsize
        if size > DISK_BYTES:
            raise Lacking(
                "E_ENCODE_FEATURES_TOO_LARGE",
                "the vision features of all images need too much disk",
                expected=f"at most {DISK_BYTES} bytes",
                found=f"{size} bytes",
                hint="use fewer or smaller images",
            )
        self.complete = False
        self._marker: Path | None = None
        if folder is None or size <= MEMORY_BYTES:
            self.rows = torch.empty(shape, dtype=dtype)
            return
        folder.mkdir(parents=True, exist_ok=True)
        data = folder / f"{digest.hex_of(key)}.features"
        self._marker = data.with_suffix(".json")
        self.complete = self._marker.is_file() and data.is_file() and data.stat().st_size == size
        if not self.complete:
            with data.open("wb") as stream:
                # Not a hole: writing into a mapped hole of a full disk kills the process.
                os.posix_fallocate(stream.fileno(), 0, size)
        flat = torch.from_file(str(data), shared=True, size=shape[0] * shape[1], dtype=dtype)
        self.rows = flat.view(shape)
        self._size = size

    def finish(self) -> None:
        """Say on disk that the file is whole."""
        if self._marker is not None:
            paths.atomic_write(self._marker, canonical.dumps({"bytes": self._size}))


def _calls(uses: Sequence[ImageUse]) -> Iterable[list[ImageUse]]:
    """Images of one grid together, at most `CALL_PATCHES` patches a call."""
    by_grid: dict[Grid, list[ImageUse]] = {}
    for use in uses:
        by_grid.setdefault(use.grid, []).append(use)
    for grid, members in sorted(by_grid.items()):
        size = max(1, CALL_PATCHES // (grid[0] * grid[1] * grid[2]))
        for start in range(0, len(members), size):
            yield members[start : start + size]
