"""Encode: the one path from a stored picture to what the tower is shown, with its checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kolm.capture.images import decode, pixels_digest
from kolm.digest import Digest
from kolm.encode.examples import ImageUse
from kolm.errors import Refused
from kolm.models.pictures import PictureProcessor
from kolm.models.taps import Recording, join

if TYPE_CHECKING:
    from PIL import Image

# What the tower is shown, or what was recorded of it, for images in order; at least one.
Pictures = Callable[[Sequence[ImageUse]], Recording]

MID_GREY = (128, 128, 128)  # the middle of 8 bits a channel: the least telling uniform picture


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureReader:
    """Reads the pictures that examples show.

    Attributes:
        processor: of the base, on pictures.
        read: the bytes of an image file by its digest.
        blind: of each picture's pixels the width and height, where uniform grey ones are shown
            instead of the pictures.
    """

    processor: PictureProcessor
    read: Callable[[Digest], bytes]
    blind: Mapping[str, tuple[int, int]] | None = None

    def identity(self, use: ImageUse) -> tuple[Any, int | None, bool]:
        """Equal for two uses exactly when they show the model the same picture."""
        shown = use.pixels if self.blind is None else self.blind[use.pixels]
        return shown, use.max_pixels, use.among

    def picture(self, use: ImageUse) -> Image.Image:
        """The upright picture that a use shows: the stored one, or grey of its size.

        Raises:
            Refused: ``E_ENCODE_IMAGE_CHANGED``, the file does not decode to the pixels that its
                capture records.
        """
        if self.blind is not None:
            from PIL import Image

            return Image.new("RGB", self.blind[use.pixels], MID_GREY)
        picture: Image.Image = decode(self.read(use.file), where=use.file)
        found = pixels_digest(picture)
        if found != use.pixels:
            raise Refused(
                "E_ENCODE_IMAGE_CHANGED",
                "an image does not decode to the pixels that its capture records",
                where=f"image {use.file}",
                expected=use.pixels,
                found=found,
            )
        return picture

    def shown(self, use: ImageUse) -> Recording:
        """What the image processor makes of the picture, with nothing recorded yet.

        Raises:
            Refused: as `picture`; ``E_ENCODE_IMAGE_TOKENS``, the processor cuts the picture into
                other patches than were planned from its size.
        """
        inputs, run = self.processor.inputs(self.picture(use), use.max_pixels, among=use.among)
        if (run.form, run.tokens) != (use.form, use.tokens):
            raise Refused(
                "E_ENCODE_IMAGE_TOKENS",
                "the processor's tensors of the image differ from those computed from its size",
                where=f"image {use.file}",
                expected=str(use.form),
                found=str(run.form),
            )
        return Recording(pictures=1, inputs=inputs)

    def shown_together(self, uses: Sequence[ImageUse]) -> Recording:
        """What the image processor makes of several pictures, one after the other; at least one.

        Raises:
            Refused: as `shown`.
        """
        return join([self.shown(use) for use in uses])
