"""Models: what a base's own processor makes of a picture: its run of tokens, and the tensors.

The run is what the processor writes for a blank picture of the same size, so that counting tokens
decodes no picture. A family that marks rows, tiles or borders needs no code of ours for it. Of a
base that reads text alone the same class has the tokenizer's half.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kolm import roles
from kolm.errors import Refused
from kolm.models.folder import image_token_id
from kolm.models.library import quiet_library
from kolm.models.processor import load_processor
from kolm.models.resolve import read_config
from kolm.models.taps import turned
from kolm.roles import Family

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

LONGEST_SIDES = 200  # transformers, smart_resize: a longer side is refused
# Of a thin picture, where the processor has no limit of its own: about what a photograph has.
_MOST_PIXELS = 2**24
# By this name a processor tells how many pictures a sample has, where that changes their tokens.
COUNTS = "batch_num_images"
NO_TOKEN: Final = -1  # the id of no token
_TEXT_OUTPUTS = {
    "input_ids", "attention_mask", "cross_attention_mask", "token_type_ids", "mm_token_type_ids",
    "labels",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRun:
    """What a picture of one size becomes.

    Attributes:
        text: what stands in the prompt for it, with one control token a feature.
        tokens: how many features.
        form: the shapes of its tensors and the numbers that describe it. Pictures of one form can
            go through the tower in one call.
        shown: how many sequences of patches the tower makes of it, and of how many numbers each.
    """

    text: str
    tokens: int
    form: tuple[int, ...]
    shown: tuple[int, int] = (0, 0)


class PictureProcessor:
    """Pictures as one base takes them.

    Args:
        processor: of the base, as `load_processor` gives it.
        table: of its family.
        image_token_id: the id that stands for one feature; `NO_TOKEN` for a base without pictures.

    Attributes:
        processor: of the base.
        table: of the family.
        image_token_id: the id that stands for one feature, or `NO_TOKEN`.
        placeholder: the control token that the chat template writes for a picture; empty for a base
            without pictures.
        control_tokens: by its id every token that is matched as a whole before the text is split
            and that no text may become.
        sociable: whether a picture among others becomes other tokens than one alone.
    """

    def __init__(self, processor: Any, table: Family, image_token_id: int) -> None:
        self.table = table
        self.image_token_id = image_token_id
        self.processor = processor
        self._limited = table.pixel_limits
        self._runs: dict[tuple[int, int, int | None, bool], ImageRun] = {}
        self._feature, self.placeholder, self.sociable = "", "", False
        if table.takes_pictures:
            self._feature = str(processor.tokenizer.convert_ids_to_tokens(image_token_id))
            self.placeholder = table.placeholder or self._feature
            self.sociable = COUNTS in processor.image_processor.model_input_names
        self.control_tokens = {
            number: token
            for number, token in processor.tokenizer.added_tokens_decoder.items()
            if token.special or not re.fullmatch(table.text_tokens, str(token))
        }

    def run(
        self, height: int, width: int, max_pixels: int | None = None, *, among: bool = False
    ) -> ImageRun:
        """The run of a picture, by its size alone.

        Args:
            height: of the upright picture, in pixels.
            width: of the upright picture, in pixels.
            max_pixels: a limit below the processor's own, or None.
            among: it stands in its example among others, where the processor is `sociable`.

        Raises:
            Refused: ``E_BASE_PROCESSOR``, the processor makes nothing of such a picture.
        """
        key = (height, width, max_pixels, among)
        if key not in self._runs:
            size = (height, width, max_pixels)
            self._runs[key] = self._counted(*size) or self._asked(*size, among=among)
        return self._runs[key]

    def inputs(
        self, picture: Image, max_pixels: int | None = None, *, among: bool = False
    ) -> tuple[dict[str, torch.Tensor], ImageRun]:
        """What the model takes for one upright RGB picture, and the run that goes with it.

        Of a family that takes pixels in a row, these are `turned`, so that those of several
        pictures can be joined along their first axis; the tower turns them back.

        Args:
            picture: to be processed.
            max_pixels: as for `run`.
            among: as for `run`.

        Raises:
            Refused: as `run`.
        """
        size = self._handed_over(picture.height, picture.width, max_pixels)
        if size != (picture.height, picture.width):
            picture = picture.resize((size[1], size[0]))
        options: dict[str, Any] = {}
        if self._limited:
            least, most = self._pixel_limits(max_pixels)
            options["size"] = {"shortest_edge": least, "longest_edge": most}
        shown = [picture] * (2 if among else 1)  # beside itself: any other would do
        try:
            with quiet_library():
                out = self.processor(
                    images=[shown] if among else shown,
                    text=[self.placeholder * len(shown)],
                    return_tensors="pt",
                    return_text_replacement_offsets=True,
                    **options,
                )
            told = out.pop("text_replacement_offsets", None)
            text = str(told[0][0]["replacement"]) if told else self._written(out["input_ids"][0])
        except Exception as error:
            raise Refused(
                "E_BASE_PROCESSOR",
                "the base's processor cannot turn a picture into tokens",
                where=f"a picture of {picture.width} by {picture.height} pixels",
                found=f"{type(error).__name__}: {error}"[:400],
                hint="download the complete base again",
            ) from error
        inputs = {
            name: value if name == COUNTS else value[: len(value) // len(shown)]
            for name, value in out.items()
            if name not in _TEXT_OUTPUTS
        }
        shown_as = _shown(inputs, in_a_row=self.table.in_a_row)
        if self.table.beside:
            shown_as = (1, math.prod(shown_as))
        run = ImageRun(
            text=text, tokens=text.count(self._feature), form=_form(inputs), shown=shown_as
        )
        if run.tokens < self.table.least_tokens:
            raise Refused(
                "E_BASE_PROCESSOR",
                "transformers cannot run this base on a picture that becomes so few tokens",
                where=f"a picture of {picture.width} by {picture.height} pixels",
                expected=f"at least {self.table.least_tokens} tokens",
                found=str(run.tokens),
                hint="leave such pictures out, or make them larger",
            )
        return (turned(inputs) if self.table.in_a_row else inputs), run

    def _written(self, ids: torch.Tensor) -> str:
        """What stands for the placeholder alone, where a processor does not tell: control tokens,
        without those that begin every text."""
        tokenizer = self.processor.tokenizer
        begin = set(tokenizer.encode(""))
        own = [number for number in ids.tolist() if number not in begin]
        return "".join(tokenizer.convert_ids_to_tokens(own))

    def _asked(
        self, height: int, width: int, max_pixels: int | None, *, among: bool = False
    ) -> ImageRun:
        """The run that the processor writes for a blank picture."""
        from PIL import Image

        return self.inputs(Image.new("RGB", (width, height)), max_pixels, among=among)[1]

    def _counted(self, height: int, width: int, max_pixels: int | None) -> ImageRun | None:
        """The same by arithmetic, where the image processor is Qwen's: a blank picture of a
        million pixels takes it a tenth of a second."""
        from transformers.models.qwen2_vl import image_processing_pil_qwen2_vl as qwen

        own = self.processor.image_processor
        if type(own) is not qwen.Qwen2VLImageProcessorPil:
            return None
        patch, merge = int(own.patch_size), int(own.merge_size)
        size = self._handed_over(height, width, max_pixels)
        high, wide = qwen.smart_resize(*size, patch * merge, *self._pixel_limits(max_pixels))
        rows, columns = high // patch, wide // patch
        tokens = rows * columns // merge**2
        numbers = 3 * int(own.temporal_patch_size) * patch**2
        form = (1, rows, columns, rows * columns, numbers)
        shown = (1, rows * columns * numbers)
        return ImageRun(text=self._feature * tokens, tokens=tokens, form=form, shown=shown)

    def _handed_over(self, height: int, width: int, max_pixels: int | None) -> tuple[int, int]:
        """The size at which a picture is given to the processor: (height, width)."""
        if self._limited:
            return widened(height, width, self._pixel_limits(max_pixels)[1])
        high, wide = widened(height, width, _MOST_PIXELS)
        if max_pixels is None or high * wide <= max_pixels:
            return high, wide
        share = math.sqrt(max_pixels / (high * wide))
        return max(1, int(high * share)), max(1, int(wide * share))

    def _pixel_limits(self, max_pixels: int | None) -> tuple[int, int]:
        """The fewest and most pixels after resizing, with an optional lower maximum."""
        size = self.processor.image_processor.size
        least, most = int(size["shortest_edge"]), int(size["longest_edge"])
        if max_pixels is not None and max_pixels < most:
            return min(least, max_pixels), max_pixels
        return least, most


def picture_processor(folder: Path) -> PictureProcessor:
    """The processor of a base's folder, on pictures.

    Raises:
        Lacking: transformers is not installed.
        Unreadable: the folder has no config.json.
        Refused: its family has no table, or a file of it is not what it should be.
    """
    config = read_config(folder)
    table = roles.family(str(config.get("model_type")))
    number = image_token_id(config) if table.takes_pictures else NO_TOKEN
    return PictureProcessor(load_processor(folder), table, number)


def too_thin(height: int, width: int) -> bool:
    """Whether a picture's short side must be made longer before it can be processed."""
    return max(height, width) > LONGEST_SIDES * min(height, width)


def widened(height: int, width: int, most: int) -> tuple[int, int]:
    """A picture's size with its short side long enough for image processors: (height, width).

    Every picture keeps its size but one that is too thin: its short side is made as long as the
    processors demand. The long side is first made so short that what results has about as many
    pixels as the processor would leave of it; else a line of millions of pixels would become a
    picture of trillions.

    Args:
        height: in pixels.
        width: in pixels.
        most: pixels that the processor leaves at most.
    """
    if not too_thin(height, width):
        return height, width
    least = min(height, width)
    long = max(least, min(max(height, width), math.isqrt(LONGEST_SIDES * most)))
    short = max(least, -(-long // LONGEST_SIDES))
    return (long, short) if height > width else (short, long)


def _shown(inputs: Mapping[str, torch.Tensor], *, in_a_row: bool) -> tuple[int, int]:
    """Sequences of patches, and numbers in each: of tiles by themselves, or of patches that are cut
    already; of tiles in a row, which may differ in size, their mean."""
    pixels = max(
        (tensor for tensor in inputs.values() if tensor.is_floating_point()),
        key=lambda tensor: tensor.numel(),
    )
    if in_a_row:
        sequences = max(map(len, inputs.values()))
    elif pixels.ndim < 4:
        sequences = pixels.shape[0] if pixels.ndim == 3 else 1
    else:
        sequences = math.prod(pixels.shape[:-3])
    return sequences, pixels.numel() // max(1, sequences)


def _form(inputs: Mapping[str, torch.Tensor]) -> tuple[int, ...]:
    """Of the tensors by name: numbers of small whole ones (grids, sizes), largest numbers of those
    with three axes (places in a grid), and shapes of all others."""
    numbers: list[int] = []
    for _, tensor in sorted(inputs.items()):
        if tensor.is_floating_point() or tensor.ndim > 3:
            numbers += tensor.shape
        else:
            told = tensor if tensor.ndim < 3 else tensor.amax((0, 1))
            numbers += told.flatten().tolist()
    return tuple(numbers)
