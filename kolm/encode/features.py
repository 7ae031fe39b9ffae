"""Encode: what is read of the frozen tower, recorded once for each distinct image.

With the tower frozen its output never changes, so every epoch reads it from here, and only the
projector runs in training. Each image goes through the tower alone, because a matrix product may
round otherwise at another number of rows: so its features follow from the base and the image and
from nothing else of a run, other runs find them again, and whoever runs a part of a training again
needs the images of that part only. Recordings are held in memory; beyond that they are read from
the files that are kept between runs, and where neither has room the image is shown to the tower
whenever it is needed, with the same bits. Before use, features are compared bit for bit with the
live path on a sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from kolm import digest
from kolm.digest import Digest
from kolm.encode.examples import ImageUse
from kolm.encode.kept_features import KeptFeatures
from kolm.encode.pictures import PictureReader
from kolm.errors import Refused
from kolm.events import Reporter
from kolm.format.sights import Sight
from kolm.models.forward import Forward
from kolm.models.taps import Recording, join

# Up to this the recordings stay in memory; the embedded base needs 32 KiB an image.
MEMORY_BYTES = 1024**3
# Images that are compared with the live path, of as many different forms.
CHECKED_IMAGES = 4
# Progress is told this often.
_REPORT_EVERY = 64


@dataclass(frozen=True, slots=True, order=True)
class ImageKey:
    """What the features of an image depend on, besides the base."""

    pixels: Digest
    max_pixels: int
    among: bool


def key_of(use: ImageUse) -> ImageKey:
    """The key of an image as one example uses it; 0 stands for the processor's own limit."""
    return ImageKey(use.pixels, use.max_pixels or 0, use.among)


class FeatureTable:
    """Recordings of many images.

    Args:
        held: those in memory.
        fetch: gives that of any other image of the run.
    """

    def __init__(
        self, held: Mapping[ImageKey, Recording], fetch: Callable[[ImageUse], Recording]
    ) -> None:
        self._held = held
        self._fetch = fetch

    def gather(self, uses: Iterable[ImageUse]) -> Recording:
        """The recordings of images, one after the other."""
        return join([self._held.get(key_of(use)) or self._fetch(use) for use in uses])


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


def recording_key(facts: Digest, use: ImageUse) -> Digest:
    """The key of an image's recording: `tower_facts`, and the image as the tower is shown it."""
    image = [use.pixels, use.max_pixels or 0, list(use.form)]
    return digest.derive("features", facts, digest.of_value(image))


def sights(uses: Iterable[ImageUse]) -> list[Sight]:
    """What the tower is shown of each image, as its operations are counted."""
    return [Sight(key_of(use), *use.shown) for use in uses]


def distinct_uses(uses: Iterable[ImageUse]) -> list[ImageUse]:
    """One use of each distinct image, sorted by its key."""
    found = {key_of(use): use for use in uses}
    return [found[key] for key in sorted(found)]


def build_features(
    forward: Forward,
    reader: PictureReader,
    uses: Sequence[ImageUse],
    *,
    facts: Digest,
    kept: KeptFeatures | None,
    reporter: Reporter,
) -> FeatureTable:
    """Record, or find again, what the tower gives for every image.

    Args:
        forward: of the base before an adapter changes it.
        reader: of the images.
        uses: distinct images, as `distinct_uses` gives them.
        facts: `tower_facts` of the run.
        kept: recordings of earlier runs, and room for these; without it there is memory alone.
        reporter: hears the progress.

    Raises:
        Refused: an image's pixels or form are not the ones that its capture records, or the
            features differ from the live path's.
    """

    def record(use: ImageUse) -> Recording:
        return forward.tower.record(reader.shown(use).inputs, 1)

    def fetch(use: ImageUse) -> Recording:
        found = kept.load(recording_key(facts, use), 1) if kept else None
        return found or record(use)

    held: dict[ImageKey, Recording] = {}
    table = FeatureTable(held, fetch)
    if not uses:
        return table
    first = record(uses[0])  # a tower that has recorded nothing knows no recording
    memory_bytes = MEMORY_BYTES
    reporter.started("features", len(uses), "images")
    found = 0
    for done, use in enumerate(uses, start=1):
        key = recording_key(facts, use)
        expected_bytes = first.size_bytes * math.prod(use.shown) // math.prod(uses[0].shown)
        fits = expected_bytes <= memory_bytes
        recording = kept.load(key, 1) if kept else None
        found += recording is not None
        if recording is None and (fits or (kept and kept.has_room(expected_bytes))):
            recording = record(use)
            if kept:
                kept.save(key, recording)
        if fits and recording is not None:
            held[key_of(use)] = recording.in_memory()
            memory_bytes -= recording.size_bytes
        if done % _REPORT_EVERY == 0:
            reporter.advanced("features", done)
    reporter.finished("features", from_earlier_runs=found, live_images=len(uses) - len(held))
    _check_live(forward, table, uses, reader)
    return table


def _check_live(
    forward: Forward, table: FeatureTable, uses: Sequence[ImageUse], reader: PictureReader
) -> None:
    """Compare the features of recordings with what the library's own path gives, bit for bit."""
    import torch

    for use in list({use.form: use for use in uses}.values())[:CHECKED_IMAGES]:
        with torch.no_grad():
            replayed = forward.features(table.gather([use]))
            live = forward.features(reader.shown(use))
        if not torch.equal(replayed, live):
            raise Refused(
                "E_ENCODE_FEATURES_DIFFER",
                "cached vision features are not the ones that the model computes",
                where=f"image {use.pixels}",
                expected="equal bits",
                found=f"largest difference {float((replayed - live).abs().max()):.3g}",
            )
