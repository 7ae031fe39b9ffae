"""Encode: what is read of the frozen tower, recorded once for each distinct image.

With the tower frozen its output never changes, so every epoch reads it from here, and only the
projector runs in training. The unit is a tower call, because a matrix product may round otherwise
at another number of rows: which images share a call follows from the images alone. Its recording
is held in memory, or mapped from the files that are kept between runs; where neither has room the
same call is made live whenever one of its images is needed, with the same bits. Before use,
features are compared bit for bit with the live path on a sample.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from kolm import digest
from kolm.digest import Digest
from kolm.encode.examples import ImageUse
from kolm.encode.kept_features import KeptFeatures
from kolm.encode.pictures import PictureReader
from kolm.errors import Refused
from kolm.events import Reporter
from kolm.models.forward import Forward
from kolm.models.taps import Recording, join

# One tower call shows about this many tokens: enough work for the cores, little memory.
CALL_TOKENS = 2048
# Up to this the recordings stay in memory; the embedded base needs 32 KiB an image.
MEMORY_BYTES = 1024**3
# Live calls whose recordings are remembered: the images of a batch may share some.
LIVE_CALLS = 8
# Tower calls that are compared with the live path, of as many different forms.
CHECKED_CALLS = 4


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
    """Recordings of many images, by tower call.

    Args:
        calls: the images of each call, in order.
        held: the recordings of the calls that are in memory or mapped, by number.
        compute: makes the recording of a call's images.
    """

    def __init__(
        self,
        calls: Sequence[Sequence[ImageUse]],
        held: Mapping[int, Recording],
        compute: Callable[[Sequence[ImageUse]], Recording],
    ) -> None:
        self._calls = calls
        self._held = held
        self._compute = compute
        self._live: OrderedDict[int, Recording] = OrderedDict()
        self._places = {
            key_of(use): (number, place)
            for number, uses in enumerate(calls)
            for place, use in enumerate(uses)
        }

    def __len__(self) -> int:
        return len(self._places)

    def gather(self, uses: Iterable[ImageUse]) -> Recording:
        """The recordings of images, one after the other."""
        parts = []
        for use in uses:
            number, place = self._places[key_of(use)]
            parts.append(self._recording(number).part(place))
        return join(parts)

    def _recording(self, number: int) -> Recording:
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
    """The key of a call's recording: `tower_facts` and the images that share the call, in order."""
    images = [[use.pixels, use.max_pixels or 0, list(use.form)] for use in uses]
    return digest.derive("features", facts, digest.of_value(images))


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

    def record(call: Sequence[ImageUse]) -> Recording:
        return forward.tower.record(reader.shown_together(call).inputs, len(call))

    calls = list(_calls(uses))
    held: dict[int, Recording] = {}
    table = FeatureTable(calls, held, record)
    if not uses:
        return table
    size = record([uses[0]]).size_bytes / uses[0].tokens  # of a token
    memory_bytes = MEMORY_BYTES
    reporter.started("features", len(uses), "images")
    done = found = 0
    for number, call in enumerate(calls):
        expected_bytes = round(size * sum(use.tokens for use in call))
        fits = expected_bytes <= memory_bytes
        key = call_key(facts, call)
        recording = kept.load(key, len(call)) if kept else None
        if recording is not None:
            found += len(call)
            held[number] = recording.in_memory() if fits else recording
        elif fits or (kept and kept.has_room(expected_bytes)):
            recording = record(call)
            is_kept = kept is not None and kept.save(key, recording)
            if fits:
                held[number] = recording
            elif kept and is_kept and (mapped := kept.load(key, len(call))) is not None:
                held[number] = mapped
        if fits and number in held:
            memory_bytes -= held[number].size_bytes
        done += len(call)
        reporter.advanced("features", done)
    reporter.finished("features", from_earlier_runs=found, live_calls=len(calls) - len(held))
    _check_live(forward, table, calls, reader)
    return table


def _check_live(
    forward: Forward,
    table: FeatureTable,
    calls: Sequence[Sequence[ImageUse]],
    reader: PictureReader,
) -> None:
    """Compare the features of recordings with what the library's own path gives, bit for bit.

    The last call of a form is its smallest.
    """
    import torch

    for call in list({call[0].form: call for call in calls}.values())[:CHECKED_CALLS]:
        with torch.no_grad():
            replayed = forward.features(table.gather(call))
            live = forward.features(reader.shown_together(call))
        if not torch.equal(replayed, live):
            raise Refused(
                "E_ENCODE_FEATURES_DIFFER",
                "cached vision features are not the ones that the model computes",
                where=f"{len(call)} images from {call[0].pixels}",
                expected="equal bits",
                found=f"largest difference {float((replayed - live).abs().max()):.3g}",
            )


def _calls(uses: Sequence[ImageUse]) -> Iterable[list[ImageUse]]:
    """Images of one form together, at most `CALL_TOKENS` tokens a call."""
    by_form: dict[tuple[int, ...], list[ImageUse]] = {}
    for use in uses:
        by_form.setdefault(use.form, []).append(use)
    for _, members in sorted(by_form.items()):
        size = max(1, CALL_TOKENS // members[0].tokens)
        for start in range(0, len(members), size):
            yield members[start : start + size]
