"""Encode: the frozen tower's features, computed once for each distinct image.

With the tower frozen its output never changes, so every epoch reads it from here, and only the
projector runs in training. The unit is a tower call, because a matrix product may round otherwise
at another number of rows: which images share a call follows from the images alone. Its features
are held in memory, or mapped from the files that are kept between runs; where neither has room the
same call is made live whenever one of its images is needed, with the same bits. Before use,
features are compared bit for bit with the live path on a sample.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kolm import digest
from kolm.digest import Digest
from kolm.encode.examples import Grid, ImageUse
from kolm.encode.kept_features import KeptFeatures
from kolm.errors import Refused
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
# Live calls whose features are remembered: the images of a batch may share some.
LIVE_CALLS = 8
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
    """Features of many images, by tower call.

    Args:
        calls: the images of each call, in order.
        held: the features (patches, width) of the calls that are in memory or mapped, by number.
        compute: makes the features of a call's images, one after the other.
    """

    def __init__(
        self,
        calls: Sequence[Sequence[ImageUse]],
        held: Mapping[int, torch.Tensor],
        compute: Callable[[Sequence[ImageUse]], torch.Tensor],
    ) -> None:
        self._calls = calls
        self._held = held
        self._compute = compute
        self._live: OrderedDict[int, torch.Tensor] = OrderedDict()
        self._places: dict[ImageKey, tuple[int, int, int]] = {}
        for number, uses in enumerate(calls):
            start = 0
            for use in uses:
                self._places[key_of(use)] = (number, start, _patches(use))
                start += _patches(use)

    def __len__(self) -> int:
        return len(self._places)

    def gather(self, uses: Iterable[ImageUse]) -> torch.Tensor:
        """The features of images, one after the other: (patches, width)."""
        import torch

        pieces = []
        for use in uses:
            number, start, count = self._places[key_of(use)]
            pieces.append(self._features(number)[start : start + count])
        return torch.cat(pieces)

    def _features(self, number: int) -> torch.Tensor:
        if number in self._held:
            return self._held[number]
        if number not in self._live:
            self._live[number] = self._compute(self._calls[number])
            if len(self._live) > LIVE_CALLS:
                self._live.popitem(last=False)
        return self._live[number]


def tower_facts(*, base_root: str, processor: Digest, environment: str, precision: str) -> Digest:
    """What every feature of a run depends on: base, image processor, environment class, format."""
    return digest.of_value(
        {
            "base": base_root,
            "environment": environment,
            "precision": precision,
            "processor": processor,
        }
    )


def call_key(facts: Digest, uses: Sequence[ImageUse]) -> Digest:
    """The key of a call's features: `tower_facts` and the images that share the call, in order."""
    images = [[use.pixels, use.max_pixels or 0, list(use.grid)] for use in uses]
    return digest.derive("features", facts, digest.of_value(images))


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
    facts: Digest,
    kept: KeptFeatures | None,
    reporter: Reporter,
) -> FeatureTable:
    """Compute, or find again, the features of every image.

    Args:
        model: the base before PEFT wraps it.
        family: its runtime.
        image_processor: of the base.
        pictures: decodes a stored file.
        uses: distinct images, as `distinct_uses` gives them.
        facts: `tower_facts` of the run.
        kept: features of earlier runs, and room for these; without it there is memory alone.
        reporter: hears the progress.

    Raises:
        Refused: an image's pixels or grid are not the ones that its capture records, or the
            features differ from the live path's.
    """
    builder = _Builder(model, family, image_processor, pictures)
    calls = list(_calls(uses))
    held: dict[int, torch.Tensor] = {}
    table = FeatureTable(calls, held, builder.compute_together)
    if not uses:
        return table
    first = builder.compute([uses[0]])[0]
    width, dtype = int(first.shape[1]), first.dtype
    in_memory = sum(map(_patches, uses)) * width * dtype.itemsize <= MEMORY_BYTES
    reporter.started("features", len(uses), "images")
    done = found = 0
    for number, call in enumerate(calls):
        shape = (sum(map(_patches, call)), width)
        key = call_key(facts, call)
        features = kept.load(key, shape, dtype) if kept else None
        if features is not None:
            found += len(call)
            held[number] = features.clone() if in_memory else features
        elif in_memory or (kept and kept.has_room(shape[0] * width * dtype.itemsize)):
            features = builder.compute_together(call)
            is_kept = kept is not None and kept.save(key, features)
            if in_memory:
                held[number] = features
            elif kept and is_kept and (mapped := kept.load(key, shape, dtype)) is not None:
                held[number] = mapped
        done += len(call)
        reporter.advanced("features", done)
    reporter.finished("features", from_earlier_runs=found, live_calls=len(calls) - len(held))
    builder.check_live(table, uses)
    return table


def _patches(use: ImageUse) -> int:
    return use.grid[0] * use.grid[1] * use.grid[2]


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

    def compute_together(self, uses: Sequence[ImageUse]) -> torch.Tensor:
        """Features of images that go through the tower in one call: (patches, width)."""
        import torch

        return torch.cat(self.compute(uses))

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
                "the image processor split the image into other patches than planned",
                where=f"image {use.file}",
                expected=str(use.grid),
                found=str(grid),
            )
        return pixels


def _calls(uses: Sequence[ImageUse]) -> Iterable[list[ImageUse]]:
    """Images of one grid together, at most `CALL_PATCHES` patches a call."""
    by_grid: dict[Grid, list[ImageUse]] = {}
    for use in uses:
        by_grid.setdefault(use.grid, []).append(use)
    for _, members in sorted(by_grid.items()):
        size = max(1, CALL_PATCHES // _patches(members[0]))
        for start in range(0, len(members), size):
            yield members[start : start + size]
