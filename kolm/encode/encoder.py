"""Encode: one capture becomes one `Example`, for training or as a prompt to answer.

The only place where conversations become ids. What a family does differently (how many tokens an
image has) is asked of its runtime; the budget's order is in `budget.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from kolm.digest import Digest
from kolm.encode.budget import Run, count_tokens, cut_prompt, least_tokens
from kolm.encode.control import TextEncoder
from kolm.encode.examples import Dropped, DropReason, Example, Grid, ImageUse
from kolm.encode.processing import Processor
from kolm.encode.skeleton import Kind, Shape, Skeleton, build_skeleton, shape_of
from kolm.errors import Refused

# Shrinking stops here: fewer tokens than a 2 by 2 grid show nothing.
_LEAST_IMAGE_TOKENS = 4


class ImageGeometry(Protocol):
    """How a family turns the size of an image into patches and tokens."""

    def image_grid(
        self, image_processor: Any, height: int, width: int, max_pixels: int | None
    ) -> Grid:
        """Frames, rows and columns of patches of an image."""

    def image_tokens(self, image_processor: Any, grid: Grid) -> int:
        """The number of features, and so of tokens, of a grid."""


class Encoder:
    """Encodes captures with one base's template, tokenizer and image processor.

    Args:
        processor: of the base.
        geometry: the runtime of the base's family.
        image_token_id: the id that stands for one image feature.
        max_seq_length: most tokens in an example, images included.
        max_images: most images in an example.
        shrink_images: whether images may lose pixels to make an example fit.
    """

    def __init__(
        self,
        processor: Processor,
        geometry: ImageGeometry,
        *,
        image_token_id: int,
        max_seq_length: int,
        max_images: int,
        shrink_images: bool = False,
    ) -> None:
        self._processor = processor
        self._geometry = geometry
        self._image_token_id = image_token_id
        self._max_seq_length = max_seq_length
        self._max_images = max_images
        self._shrink_images = shrink_images
        self._texts = TextEncoder(processor.tokenizer)
        self._skeletons: dict[Shape, Skeleton] = {}

    def encode(self, capture: Mapping[str, Any], *, position: int = -1) -> Example | Dropped:
        """Encode a whole conversation with its labels.

        Args:
            capture: the document of ``capture.schema.json``.
            position: the capture's 0-based number among the snapshot's lines of its side.

        Returns:
            The example, or the reason why the capture cannot be trained on.

        Raises:
            Refused: the template, the tokenizer or the image numbers do not fit the capture.
        """
        blocks = _images_in_order(capture)
        if len(blocks) > self._max_images:
            return Dropped(position=position, reason=DropReason.TOO_MANY_IMAGES)
        skeleton = self._skeleton(capture)
        fitted = self._fit(capture, skeleton, len(skeleton.pieces))
        if fitted is None:
            return Dropped(position=position, reason=DropReason.OVER_BUDGET)
        example = self._example(capture, *fitted, position=position)
        if example.label_tokens == 0:
            return Dropped(position=position, reason=DropReason.NO_LABELS)
        return example

    def encode_prompt(self, capture: Mapping[str, Any], *, position: int = -1) -> Example:
        """Encode everything before the last answer, as generation sees it.

        The ids are the ones that stand before the answer in training. A prompt over the budget
        is cut like a training prompt; one that cannot be cut enough is refused, because an
        evaluation that leaves out hard cases says nothing.

        Raises:
            Refused: as `encode`, or the prompt does not fit (``E_ENCODE_PROMPT_TOO_LONG``), or
                it has more images than the limit (``E_ENCODE_TOO_MANY_IMAGES``).
        """
        blocks = _images_in_order(capture)
        if len(blocks) > self._max_images:
            raise Refused(
                "E_ENCODE_TOO_MANY_IMAGES",
                "a capture to be answered has more images than max_images",
                expected=f"at most {self._max_images}",
                found=str(len(blocks)),
            )
        skeleton = self._skeleton(capture)
        fitted = self._fit(capture, skeleton, skeleton.answer_start)
        if fitted is None:
            raise Refused(
                "E_ENCODE_PROMPT_TOO_LONG",
                "a prompt does not fit even with its text cut",
                expected=f"at most {self._max_seq_length} tokens",
                found=f"{self._least(capture, skeleton)} tokens",
                hint="raise train.max_seq_length, or allow train.shrink_images",
            )
        return self._example(capture, *fitted, position=position, prompt=True)

    def answer_tokens(self, capture: Mapping[str, Any]) -> int:
        """Tokens of the last answer as the base would write it, the one that ends it included."""
        skeleton = self._skeleton(capture)
        whole, before = (
            sum(len(run.ids) for run in self._lay_out(capture, skeleton, stop) if run.trained)
            for stop in (len(skeleton.pieces), skeleton.answer_start)
        )
        return whole - before

    def text_tokens(self, text: str) -> int:
        """Tokens of a text alone."""
        return len(self._texts.ids(text))

    def _skeleton(self, capture: Mapping[str, Any]) -> Skeleton:
        shape = shape_of(capture["messages"])
        skeleton = self._skeletons.get(shape)
        if skeleton is None:
            skeleton = build_skeleton(self._processor, shape, self._image_token_id)
            self._skeletons[shape] = skeleton
        return skeleton

    def _fit(
        self, capture: Mapping[str, Any], skeleton: Skeleton, stop: int
    ) -> tuple[list[Run], int, int | None] | None:
        """Runs within the budget, the tokens cut, and the pixel limit of a shrunk image."""
        runs = self._lay_out(capture, skeleton, stop)
        if count_tokens(runs) <= self._max_seq_length:
            return runs, 0, None
        for max_pixels in [None, *self._smaller_sizes(capture)]:
            whole = self._lay_out(capture, skeleton, stop, apart=True, max_pixels=max_pixels)
            if least_tokens(whole) <= self._max_seq_length:
                cut = cut_prompt(whole, self._max_seq_length)
                if cut is not None:
                    return cut, count_tokens(whole) - count_tokens(cut), max_pixels
        return None

    def _least(self, capture: Mapping[str, Any], skeleton: Skeleton) -> int:
        """Tokens of a prompt whose texts are cut as far as they may be."""
        return least_tokens(self._lay_out(capture, skeleton, skeleton.answer_start, apart=True))

    def _smaller_sizes(self, capture: Mapping[str, Any]) -> list[int]:
        """Pixel limits to try, each half of the one before, while any image gets smaller."""
        if not self._shrink_images or not capture["images"]:
            return []
        pixels = max(image["height"] * image["width"] for image in capture["images"])
        sizes = []
        while pixels > 1:
            pixels //= 2
            grids = [self._grid(image, pixels) for image in capture["images"]]
            processor = self._processor.image_processor
            if any(
                self._geometry.image_tokens(processor, grid) < _LEAST_IMAGE_TOKENS for grid in grids
            ):
                break
            sizes.append(pixels)
        return sizes

    def _grid(self, image: Mapping[str, Any], max_pixels: int | None) -> Grid:
        return self._geometry.image_grid(
            self._processor.image_processor, image["height"], image["width"], max_pixels
        )

    def _lay_out(
        self,
        capture: Mapping[str, Any],
        skeleton: Skeleton,
        stop: int,
        *,
        apart: bool = False,
        max_pixels: int | None = None,
    ) -> list[Run]:
        """The token runs of the first `stop` pieces.

        With `apart`, each prompt text is a run of its own that can be cut; without, it is
        tokenised together with the template's text around it, as the base was trained.
        """
        texts = _texts_in_order(capture)
        images = _images_in_order(capture)
        runs: list[Run] = []
        buffer, trained = "", False

        def flush(*, cuttable: bool = False) -> None:
            nonlocal buffer
            if buffer:
                runs.append(Run(ids=self._texts.ids(buffer), trained=trained, cuttable=cuttable))
            buffer = ""

        for piece in skeleton.pieces[:stop]:
            if piece.trained != trained:
                flush()
                trained = piece.trained
            if piece.kind is Kind.LITERAL:
                buffer += piece.text
            elif piece.kind is Kind.SLOT:
                alone = apart and not trained
                if alone:
                    flush()
                text = texts[piece.number]
                buffer += text.strip() if skeleton.strips else text
                if alone:
                    flush(cuttable=True)
            else:
                flush()
                if piece.kind is Kind.TOKEN:
                    runs.append(Run(ids=(piece.number,), trained=trained))
                else:
                    grid = self._grid(images[piece.number], max_pixels)
                    tokens = self._geometry.image_tokens(self._processor.image_processor, grid)
                    runs.append(Run(ids=(self._image_token_id,) * tokens, image=piece.number))
        flush()
        return runs

    def _example(
        self,
        capture: Mapping[str, Any],
        runs: Sequence[Run],
        cut_tokens: int,
        max_pixels: int | None,
        *,
        position: int,
        prompt: bool = False,
    ) -> Example:
        """Join runs into an example and assert that its tokens equal its images' features."""
        images = _images_in_order(capture)
        ids: list[int] = []
        spans: list[tuple[int, int]] = []
        uses: list[ImageUse] = []
        for run in runs:
            start, end = len(ids), len(ids) + len(run.ids)
            ids.extend(run.ids)
            if run.image >= 0:
                image = images[run.image]
                uses.append(
                    ImageUse(
                        file=Digest(image["file"]),
                        pixels=Digest(image["pixels"]),
                        grid=self._grid(image, max_pixels),
                        max_pixels=max_pixels,
                        start=start,
                        tokens=len(run.ids),
                    )
                )
            elif run.trained and not prompt:
                if spans and spans[-1][1] == start:
                    spans[-1] = (spans[-1][0], end)
                else:
                    spans.append((start, end))
        if ids.count(self._image_token_id) != sum(use.tokens for use in uses):
            raise Refused(
                "E_ENCODE_IMAGE_TOKENS",
                "an example's image tokens are not the features of its own images",
                expected=str(sum(use.tokens for use in uses)),
                found=str(ids.count(self._image_token_id)),
            )
        return Example(
            position=position,
            input_ids=tuple(ids),
            trained=tuple(spans),
            images=tuple(uses),
            cut_tokens=cut_tokens,
        )


def _texts_in_order(capture: Mapping[str, Any]) -> list[str]:
    return [
        block["text"]
        for message in capture["messages"]
        for block in message["content"]
        if block["type"] == "text"
    ]


def _images_in_order(capture: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The images in the order in which the conversation shows them.

    Raises:
        Refused: a content block points past the capture's images.
    """
    numbers = [
        block["image"]
        for message in capture["messages"]
        for block in message["content"]
        if block["type"] == "image"
    ]
    images = capture["images"]
    for number in numbers:
        if not 0 <= number < len(images):
            raise Refused(
                "E_ENCODE_IMAGE_NUMBER",
                "a content block points to an image that the capture does not have",
                expected=f"0 to {len(images) - 1}",
                found=str(number),
            )
    return [images[number] for number in numbers]
