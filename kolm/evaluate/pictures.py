"""Evaluate: what the tower gives for the pictures that prompts show, real or blind.

The tower runs on one picture at a time, so what it gives depends on that picture alone, whatever
batch asks for it; it is kept while it fits. It comes before the projector, which an adapter may
have trained.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from kolm.encode.examples import ImageUse
from kolm.encode.features import FeatureTable
from kolm.encode.pictures import PictureReader
from kolm.models.taps import Recording, Tower, join

if TYPE_CHECKING:
    from kolm.records.documents import Capture


KEPT_BYTES = 1 << 30  # recordings of 1,000 pictures of the embedded base take 33 MB

Size = tuple[int, int]


def picture_sizes(captures: Iterable[Capture]) -> dict[str, Size]:
    """Width and height of every picture, by its pixel digest."""
    return {
        image["pixels"]: (image["width"], image["height"])
        for capture in captures
        for image in capture["images"]
    }


class KeptPictures(NamedTuple):
    """Pictures whose recordings were made before, and are shared with other runs."""

    table: FeatureTable
    reader: PictureReader

    def identity(self, use: ImageUse) -> Hashable:
        """Equal for two uses exactly when they show the model the same picture."""
        return self.reader.identity(use)

    def gather(self, uses: Sequence[ImageUse]) -> Recording:
        """The recordings of images, one after the other."""
        return self.table.gather(uses)


class RecordedPictures:
    """Gives the recordings of image uses, computing each picture once.

    Args:
        tower: of the model, an adapter's layers in place or not.
        reader: of the pictures.
    """

    def __init__(self, tower: Tower, reader: PictureReader) -> None:
        self._tower = tower
        self.reader = reader
        self._kept: OrderedDict[Hashable, Recording] = OrderedDict()
        self._kept_bytes = 0

    def identity(self, use: ImageUse) -> Hashable:
        """Equal for two uses exactly when they show the model the same picture."""
        return self.reader.identity(use)

    def gather(self, uses: Sequence[ImageUse]) -> Recording:
        """The recordings of images, one after the other; at least one.

        Raises:
            Refused: a stored file is not the picture that a case declares, or the processor cuts it
                otherwise than was planned.
        """
        return join([self._recording(use) for use in uses])

    def _recording(self, use: ImageUse) -> Recording:
        key = self.identity(use)
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            return found
        recording = self._tower.record(self.reader.shown(use).inputs, 1)
        self._keep(key, recording)
        return recording

    def _keep(self, key: Hashable, recording: Recording) -> None:
        self._kept[key] = recording
        self._kept_bytes += recording.size_bytes
        while self._kept_bytes > KEPT_BYTES and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= dropped.size_bytes
