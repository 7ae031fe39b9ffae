"""Encode: a capture as the base's template writes it: token runs, whole or within a budget.

What a family does differently (how many tokens an image has) is asked of its runtime; the budget's
order is in `budget.py`.
"""

from __future__ import annotations

from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from kolm.digest import Digest
from kolm.encode.budget import TokenRun, count_tokens, cut_prompt, least_tokens
from kolm.encode.control import TextEncoder
from kolm.encode.examples import Example, ImageUse
from kolm.encode.layout import Layout
from kolm.encode.skeleton import PieceKind, Shape, Skeleton, build_skeleton, shape_of
from kolm.errors import Refused
from kolm.models.pictures import ImageRun, PictureProcessor

if TYPE_CHECKING:
    from kolm.records.documents import Capture, CaptureImage


# Shrinking stops here: fewer tokens than a 2 by 2 grid show nothing.
_LEAST_IMAGE_TOKENS = 4


class Fitted(NamedTuple):
    """Runs within the budget, and what it took: tokens cut, and the pixel limit of the images."""

    runs: list[TokenRun]
    cut_tokens: int = 0
    max_pixels: int | None = None


class Conversation:
    """One capture in the words of a base; made by `Conversations`.

    Args:
        capture: the document of ``capture.schema.json``.
        skeleton: of its shape.
        layout: fills skeletons in.
        pictures: the processor of the base.

    Raises:
        Refused: ``E_ENCODE_NO_PICTURES``: the base reads text alone, and the capture has images;
            ``E_ENCODE_IMAGE_NUMBER``: a content block points past the capture's images.
    """

    def __init__(
        self, capture: Capture, skeleton: Skeleton, layout: Layout, pictures: PictureProcessor
    ) -> None:
        self.skeleton = skeleton
        self.whole = len(skeleton.pieces)
        self._layout = layout
        self._pictures = pictures
        if capture["images"] and not pictures.table.takes_pictures:
            raise Refused(
                "E_ENCODE_NO_PICTURES",
                "the capture has a picture, and the base reads text alone",
                where="messages",
                expected="no picture",
                found=f"{len(capture['images'])}, for a {pictures.table.model_type}",
                hint="train such captures on a base with vision, or leave them out",
            )
        self.images = _images_in_order(capture)
        texts = _texts_in_order(capture, joined=not pictures.table.takes_pictures)
        self._texts = [
            text.strip() if number in skeleton.stripped else text
            for number, text in enumerate(texts)
        ]
        # Whether its images become other tokens because there are several.
        self._among = pictures.sociable and len(self.images) > 1

    @cached_property
    def strips_answer(self) -> bool:
        """The template takes white space away around the last answer."""
        slots = (piece for piece in self.skeleton.pieces if piece.kind is PieceKind.SLOT)
        return max(piece.number for piece in slots) in self.skeleton.stripped

    def runs(
        self,
        stop: int,
        *,
        apart: bool = False,
        max_pixels: int | None = None,
        located: bool = False,
    ) -> list[TokenRun]:
        """The token runs of the first `stop` pieces of the skeleton.

        Args:
            stop: pieces.
            apart: make the tokens that are a prompt's text alone a run of their own, to be cut.
            max_pixels: a lower limit than the processor's own.
            located: say of an answer's tokens for which characters they stand.
        """
        return self._layout.runs(
            self.skeleton,
            stop,
            texts=self._texts,
            images=[self._numbered(*shown) for shown in enumerate(self._shown(max_pixels))],
            apart=apart,
            located=located,
        )

    def fit(self, stop: int, limit: int, *, shrink: bool) -> Fitted | None:
        """The runs of the first `stop` pieces within `limit` tokens; None where nothing helps.

        Args:
            stop: pieces.
            limit: tokens.
            shrink: whether images may lose pixels.
        """
        runs = self.runs(stop)
        if count_tokens(runs) <= limit:
            return Fitted(runs)
        for max_pixels in [None, *(self._smaller_sizes() if shrink else ())]:
            whole = self.runs(stop, apart=True, max_pixels=max_pixels)
            if least_tokens(whole) <= limit:
                cut = cut_prompt(whole, limit)
                if cut is not None:
                    return Fitted(cut, count_tokens(whole) - count_tokens(cut), max_pixels)
        return None

    def least_tokens(self, stop: int) -> int:
        """Tokens of the first `stop` pieces when prompt texts are cut as far as they may be."""
        return least_tokens(self.runs(stop, apart=True))

    def example(self, fitted: Fitted, *, position: int, learned: int = 0) -> Example:
        """Join runs into an example, whose image tokens must be the features of its images.

        Args:
            fitted: of this conversation, or of one that differs from it in its answers alone.
            position: of the capture among those of its side.
            learned: answers are labels from the run with this number on.

        Raises:
            Refused: ``E_ENCODE_IMAGE_TOKENS``.
        """
        runs = fitted.runs
        shown = self._shown(fitted.max_pixels)
        ids: list[int] = []
        spans: list[tuple[int, int]] = []
        uses: list[ImageUse] = []
        prefix = sum(len(run.ids) for run in takewhile(lambda run: not run.trained, runs))
        for number, run in enumerate(runs):
            start, end = len(ids), len(ids) + len(run.ids)
            ids.extend(run.ids)
            if run.image == len(uses):
                image, own = self.images[run.image], shown[run.image]
                uses.append(
                    ImageUse(
                        file=Digest(image["file"]),
                        pixels=Digest(image["pixels"]),
                        form=own.form,
                        max_pixels=fitted.max_pixels,
                        start=start,
                        tokens=own.tokens,
                        among=self._among,
                        shown=own.shown,
                    )
                )
            elif run.trained and number >= learned:
                if spans and spans[-1][1] == start:
                    spans[-1] = (spans[-1][0], end)
                else:
                    spans.append((start, end))
        if ids.count(self._pictures.image_token_id) != sum(use.tokens for use in uses):
            raise Refused(
                "E_ENCODE_IMAGE_TOKENS",
                "an example's image tokens are not the features of its own images",
                expected=str(sum(use.tokens for use in uses)),
                found=str(ids.count(self._pictures.image_token_id)),
            )
        return Example(
            position=position,
            input_ids=tuple(ids),
            prefix=prefix,
            trained=tuple(spans),
            images=tuple(uses),
            cut_tokens=fitted.cut_tokens,
        )

    def _smaller_sizes(self) -> list[int]:
        """Pixel limits to try, each half of the one before, while any image gets smaller."""
        if not self.images:
            return []
        pixels = max(image["height"] * image["width"] for image in self.images)
        sizes: list[int] = []
        tokens = [run.tokens for run in self._shown(None)]
        while pixels > 1 and min(tokens) >= _LEAST_IMAGE_TOKENS:
            pixels //= 2
            try:
                fewer = [run.tokens for run in self._shown(pixels)]
            except Refused:  # too small for the library's forward pass
                break
            if fewer != tokens and min(fewer) >= _LEAST_IMAGE_TOKENS:
                sizes.append(pixels)
            tokens = fewer
        return sizes

    def _numbered(self, number: int, run: ImageRun) -> str:
        """What stands for its image of a number: the run is that of an image alone."""
        written = self._pictures.table.number
        return run.text.replace(written.format(0), written.format(number), 1)

    def _shown(self, max_pixels: int | None) -> list[ImageRun]:
        """What its images become."""
        return [
            self._pictures.run(image["height"], image["width"], max_pixels, among=self._among)
            for image in self.images
        ]


class Conversations:
    """Writes captures in the words of a base; a skeleton is built once for each shape.

    Args:
        pictures: the processor of the base.
        template: the chat template.
    """

    def __init__(self, pictures: PictureProcessor, template: str) -> None:
        self.texts = TextEncoder(pictures.processor.tokenizer, pictures.control_tokens)
        self._pictures = pictures
        self.template = template
        self._layout = Layout(self.texts, pictures.table.edge)
        self._skeletons: dict[Shape, Skeleton] = {}

    def of(self, capture: Capture) -> Conversation:
        """A capture in the words of the base.

        Raises:
            Refused: as `Conversation`; the template or the tokenizer does not fit the capture.
        """
        return Conversation(capture, self._skeleton(capture), self._layout, self._pictures)

    def _skeleton(self, capture: Capture) -> Skeleton:
        shape = shape_of(capture["messages"], joined=not self._pictures.table.takes_pictures)
        skeleton = self._skeletons.get(shape)
        if skeleton is None:
            skeleton = build_skeleton(self._pictures, self.template, shape)
            self._skeletons[shape] = skeleton
        return skeleton


def _texts_in_order(capture: Capture, *, joined: bool) -> list[str]:
    """The texts of all messages; `joined`, those of one message are one text."""
    messages = [
        [block["text"] for block in message["content"] if block["type"] == "text"]
        for message in capture["messages"]
    ]
    return ["".join(own) for own in messages] if joined else [t for own in messages for t in own]


def _images_in_order(capture: Capture) -> list[CaptureImage]:
    """The images in the order in which the conversation shows them."""
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
