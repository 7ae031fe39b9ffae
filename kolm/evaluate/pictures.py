"""Evaluate: tower features of the pictures that prompts show, real or blind.

The tower runs on one picture at a time, so its features depend on that picture alone, whatever
batch asks for them; they are kept while they fit. They are features before the projector, which an
adapter may have trained.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from kolm.capture import images
from kolm.digest import Digest
from kolm.encode.examples import ImageUse
from kolm.errors import Refused
from kolm.models.family import FamilyRuntime

if TYPE_CHECKING:
    import torch
    from PIL import Image

MID_GREY = (128, 128, 128)  # the middle of 8 bits a channel: the least telling uniform picture
KEPT_BYTES = 1 << 30  # features of 1,000 pictures of the embedded base take 33 MB

Size = tuple[int, int]


def picture_sizes(captures: Iterable[Mapping[str, Any]]) -> dict[str, Size]:
    """Width and height of every picture, by its pixel digest."""
    return {
        image["pixels"]: (image["width"], image["height"])
        for capture in captures
        for image in capture["images"]
    }


class Pictures:
    """Gives the tower features of an image use, computing each picture once.

    Args:
        model: the base, PEFT's layers in place or not.
        family: the runtime of its family.
        image_processor: of the base.
        read_image: the bytes of an image file by its digest.
        sizes: `picture_sizes`; only read when `blind`.
        blind: replace every picture by a uniform mid-grey one of the same size.
    """

    def __init__(
        self,
        model: Any,
        family: FamilyRuntime,
        image_processor: Any,
        *,
        read_image: Callable[[Digest], bytes],
        sizes: Mapping[str, Size],
        blind: bool = False,
    ) -> None:
        self._model = model
        self._family = family
        self._image_processor = image_processor
        self._read_image = read_image
        self._sizes = sizes
        self._blind = blind
        self._kept: OrderedDict[Any, torch.Tensor] = OrderedDict()
        self._kept_bytes = 0

    def identity(self, use: ImageUse) -> Any:
        """Equal for two uses exactly when they show the model the same picture."""
        shown = self._sizes[use.pixels] if self._blind else use.pixels
        return shown, use.max_pixels

    def features(self, use: ImageUse) -> torch.Tensor:
        """Tower features of one use: (patches, width).

        Raises:
            Refused: the stored file is not the picture that the case declares, or the processor
                cuts it otherwise than it was planned.
        """
        key = self.identity(use)
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            return found
        features = self._compute(use)
        self._keep(key, features)
        return features

    def picture(self, use: ImageUse) -> Image.Image:
        """The picture that a use shows: the stored one, or grey of its size.

        Raises:
            Refused: ``E_EVALUATE_PIXELS`` when the file does not decode to the declared pixels.
        """
        if self._blind:
            from PIL import Image

            return Image.new("RGB", self._sizes[use.pixels], MID_GREY)
        picture = images.decode(self._read_image(use.file), where=use.file)
        pixels = images.pixels_digest(picture)
        if pixels != use.pixels:
            raise Refused(
                "E_EVALUATE_PIXELS",
                "the stored image does not decode to the pixels that the case declares",
                where=use.file,
                expected=use.pixels,
                found=pixels,
            )
        return picture

    def _compute(self, use: ImageUse) -> torch.Tensor:
        pixels, grid = self._family.pixel_values(
            self._image_processor, self.picture(use), use.max_pixels
        )
        if grid != use.grid:
            raise Refused(
                "E_EVALUATE_GRID",
                "the image processor splits the picture into other patches than planned",
                where=use.file,
                expected=str(use.grid),
                found=str(grid),
            )
        return self._family.tower_features(self._model, pixels, [grid])[0]

    def _keep(self, key: Any, features: torch.Tensor) -> None:
        self._kept[key] = features
        self._kept_bytes += features.numel() * features.element_size()
        while self._kept_bytes > KEPT_BYTES and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= dropped.numel() * dropped.element_size()
