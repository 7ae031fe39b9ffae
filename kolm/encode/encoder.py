"""Encode: one capture becomes one `Example` or a `Pair`, to learn from, or a prompt to answer.

The only place where conversations become ids. What a family does differently (how many tokens an
image has) is asked of its runtime; the budget's order is in `budget.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING, Self

from kolm.digest import Digest
from kolm.encode import pairs, segments
from kolm.encode.budget import TokenRun, count_tokens, cut_prompt, least_tokens
from kolm.encode.control import TextEncoder
from kolm.encode.examples import Dropped, DropReason, Example, ImageUse, Learnable, Pair
from kolm.encode.layout import Layout
from kolm.encode.skeleton import (
    PieceKind,
    Shape,
    Skeleton,
    build_skeleton,
    choose_template,
    name_template,
    shape_of,
)
from kolm.errors import Refused
from kolm.format.names import LOCK
from kolm.models.pictures import ImageRun, PictureProcessor
from kolm.objectives import Objective, objective_of

if TYPE_CHECKING:
    from kolm.records.documents import Capture, CaptureImage, Lock, LockBaseTemplate


# Shrinking stops here: fewer tokens than a 2 by 2 grid show nothing.
_LEAST_IMAGE_TOKENS = 4


class Encoder:
    """Encodes captures with one base's template, tokenizer and image processor.

    Args:
        pictures: the processor of the base.
        max_seq_length: most tokens in an example, images included.
        max_images: most images in an example.
        shrink_images: whether images may lose pixels to make an example fit.
        template: the chat template that a lock names; None where there is no lock yet.
        objective: of the lock; without one a conversation is learned.

    Raises:
        Refused: the base has no chat template that can be trained on, or it is not the named one.
    """

    def __init__(
        self,
        pictures: PictureProcessor,
        *,
        max_seq_length: int,
        max_images: int,
        shrink_images: bool = False,
        template: LockBaseTemplate | None = None,
        objective: Objective | None = None,
    ) -> None:
        self._tokenizer = pictures.processor.tokenizer
        self._pictures = pictures
        self._max_seq_length = max_seq_length
        self._max_images = max_images
        self._shrink_images = shrink_images
        self._objective = objective
        self._texts = TextEncoder(self._tokenizer, pictures.control_tokens)
        self._layout = Layout(self._texts)
        self._skeletons: dict[Shape, Skeleton] = {}
        self._template = choose_template(pictures)
        found = name_template(pictures, self._template)
        if template not in (None, found):
            raise Refused(
                "E_ENCODE_OTHER_TEMPLATE",
                "this base and this version of kolm do not train with the template of the lock",
                where=f"{LOCK}#/base/template",
                expected=f"{template['source']} {template['digest']}",
                found=f"{found['source']} {found['digest']}",
            )

    @classmethod
    def of(cls, lock: Lock, pictures: PictureProcessor) -> Self:
        """The encoder of a compile, with the budget and the template of its lock."""
        train = lock["train"]
        return cls(
            pictures,
            max_seq_length=train["max_seq_length"],
            max_images=train["max_images"],
            shrink_images=train["shrink_images"],
            template=lock["base"]["template"],
            objective=objective_of(train["objective"]),
        )

    def learnable(self, capture: Capture, *, position: int = -1) -> Learnable | Dropped:
        """What the lock's objective learns of a capture: `encode`, or `encode_pair`."""
        if self._objective is not None and self._objective.PAIRED:
            return self.encode_pair(capture, position=position)
        return self.encode(capture, position=position)

    def encode(self, capture: Capture, *, position: int = -1) -> Example | Dropped:
        """Encode a whole conversation with its labels.

        Args:
            capture: the document of ``capture.schema.json``.
            position: the capture's 0-based number among the snapshot's lines of its side.

        Returns:
            The example, or the reason why the capture cannot be trained on.

        Raises:
            Refused: the template, the tokenizer or the image numbers do not fit the capture, or it
                has images and the base takes none (``E_ENCODE_NO_PICTURES``).
        """
        blocks = self._images(capture)
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

    def encode_pair(self, capture: Capture, *, position: int = -1) -> Pair | Dropped:
        """Encode the whole conversation twice, with its last answer and with the rejected one.

        The last answer alone is learned. A prompt that is cut is cut the same in both, by the
        longer of them.

        Args:
            capture: with `rejected`.
            position: as of `encode`.

        Raises:
            Refused: as `encode`; ``E_TRAIN_NO_REJECTED``; ``E_ENCODE_PAIR``.
        """
        other = pairs.with_rejected(capture)
        if len(_images_in_order(capture)) > self._max_images:
            return Dropped(position=position, reason=DropReason.TOO_MANY_IMAGES)
        if pairs.letters(capture) == pairs.letters(other):
            return Dropped(position=position, reason=DropReason.SAME_ANSWERS)
        skeleton = self._skeleton(capture)
        whole = len(skeleton.pieces)
        sides = (capture, other)
        lengths = [count_tokens(self._lay_out(side, skeleton, whole)) for side in sides]
        longer = lengths.index(max(lengths))
        fitted = self._fit(sides[longer], skeleton, whole)
        if fitted is None:
            return Dropped(position=position, reason=DropReason.OVER_BUDGET)
        runs, cut, max_pixels = fitted
        shorter = self._lay_out(sides[1 - longer], skeleton, whole, max_pixels=max_pixels)
        both = [runs, pairs.after_one_prompt(runs, shorter, is_cut=cut > 0)]
        chosen, rejected = (
            self._example(
                capture, own, cut, max_pixels, position=position, learned=pairs.last_answer(own)
            )
            for own in (both if longer == 0 else reversed(both))
        )
        marks = self._corrected(capture, sides, skeleton)
        return Pair(
            chosen=replace(chosen, corrected=marks[0]),
            rejected=replace(rejected, corrected=marks[1]),
        )

    def encode_answers(self, capture: Capture) -> Pair:
        """Encode the chosen and the rejected answer behind the prompt that generation starts from.

        No answer is too long: it is measured, and not learned.

        Raises:
            Refused: as `encode_prompt`; ``E_TRAIN_NO_REJECTED``.
        """
        prompt = self.encode_prompt(capture)
        sides = (capture, pairs.with_rejected(capture))
        skeleton = self._skeleton(capture)
        marks = self._corrected(capture, sides, skeleton)
        chosen, rejected = (
            pairs.answered(prompt, self._lay_out(side, skeleton, len(skeleton.pieces)), own)
            for side, own in zip(sides, marks, strict=True)
        )
        return Pair(chosen=chosen, rejected=rejected)

    def _corrected(
        self, capture: Capture, sides: Sequence[Capture], skeleton: Skeleton
    ) -> tuple[segments.Marks, segments.Marks]:
        """Of each label of both answers whether it was corrected, where the objective asks."""
        match_tokens = None if self._objective is None else self._objective.match_tokens
        if match_tokens is None:
            return (), ()
        whole = len(skeleton.pieces)
        chosen, rejected = (
            runs[pairs.last_answer(runs) :]
            for runs in (self._lay_out(side, skeleton, whole, located=True) for side in sides)
        )
        corrections = capture.get("corrections")
        if corrections is None:
            return segments.marks_by_difference(chosen, rejected, match_tokens)
        old, new = segments.corrected_texts(corrections)
        strips = _last_text(skeleton) in skeleton.stripped
        fronts = [pairs.front(side) if strips else 0 for side in sides]
        return (
            segments.marks_of(chosen, new, fronts[0]),
            segments.marks_of(rejected, old, fronts[1]),
        )

    def encode_prompt(self, capture: Capture, *, position: int = -1) -> Example:
        """Encode everything before the last answer, as generation sees it.

        The ids are the ones that stand before the answer in training. A prompt over the budget
        is cut like a training prompt; one that cannot be cut enough is refused, because an
        evaluation that leaves out hard cases says nothing.

        Raises:
            Refused: as `encode`, or the prompt does not fit (``E_ENCODE_PROMPT_TOO_LONG``), or
                it has more images than the limit (``E_ENCODE_TOO_MANY_IMAGES``).
        """
        blocks = self._images(capture)
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
        runs, cut, max_pixels = fitted
        nothing = len(runs)
        return self._example(capture, runs, cut, max_pixels, position=position, learned=nothing)

    def answer_tokens(self, capture: Capture) -> int:
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

    def _skeleton(self, capture: Capture) -> Skeleton:
        shape = shape_of(capture["messages"], joined=not self._pictures.table.takes_pictures)
        skeleton = self._skeletons.get(shape)
        if skeleton is None:
            skeleton = build_skeleton(self._pictures, self._template, shape)
            self._skeletons[shape] = skeleton
        return skeleton

    def _images(self, capture: Capture) -> list[CaptureImage]:
        """The images in the order in which the conversation shows them.

        Raises:
            Refused: ``E_ENCODE_NO_PICTURES``, the base reads text alone; a content block points
                past the capture's images.
        """
        blocks = _images_in_order(capture)
        if capture["images"] and not self._pictures.table.takes_pictures:
            raise Refused(
                "E_ENCODE_NO_PICTURES",
                "the capture has a picture, and the base reads text alone",
                where="messages",
                expected="no picture",
                found=f"{len(capture['images'])}, for a {self._pictures.table.model_type}",
                hint="train such captures on a base with vision, or leave them out",
            )
        return blocks

    def _fit(
        self, capture: Capture, skeleton: Skeleton, stop: int
    ) -> tuple[list[TokenRun], int, int | None] | None:
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

    def _least(self, capture: Capture, skeleton: Skeleton) -> int:
        """Tokens of a prompt whose texts are cut as far as they may be."""
        return least_tokens(self._lay_out(capture, skeleton, skeleton.answer_start, apart=True))

    def _smaller_sizes(self, capture: Capture) -> list[int]:
        """Pixel limits to try, each half of the one before, while any image gets smaller."""
        if not self._shrink_images or not capture["images"]:
            return []
        pixels = max(image["height"] * image["width"] for image in capture["images"])
        sizes: list[int] = []
        tokens = [run.tokens for run in self._runs(capture, capture["images"], None)]
        while pixels > 1 and min(tokens) >= _LEAST_IMAGE_TOKENS:
            pixels //= 2
            fewer = [run.tokens for run in self._runs(capture, capture["images"], pixels)]
            if fewer != tokens and min(fewer) >= _LEAST_IMAGE_TOKENS:
                sizes.append(pixels)
            tokens = fewer
        return sizes

    def _runs(
        self, capture: Capture, images: Sequence[CaptureImage], max_pixels: int | None
    ) -> list[ImageRun]:
        """What images of a capture become in its example."""
        return [
            self._pictures.run(
                image["height"], image["width"], max_pixels, among=self._among(capture)
            )
            for image in images
        ]

    def _among(self, capture: Capture) -> bool:
        """Whether its images become other tokens because there are several."""
        return self._pictures.sociable and len(_images_in_order(capture)) > 1

    def _lay_out(
        self,
        capture: Capture,
        skeleton: Skeleton,
        stop: int,
        *,
        apart: bool = False,
        max_pixels: int | None = None,
        located: bool = False,
    ) -> list[TokenRun]:
        """The token runs of the first `stop` pieces; with `apart`, prompt texts by themselves."""
        texts = _texts_in_order(capture, joined=not self._pictures.table.takes_pictures)
        return self._layout.runs(
            skeleton,
            stop,
            texts=[
                text.strip() if number in skeleton.stripped else text
                for number, text in enumerate(texts)
            ],
            images=[run.text for run in self._runs(capture, _images_in_order(capture), max_pixels)],
            apart=apart,
            located=located,
        )

    def _example(
        self,
        capture: Capture,
        runs: Sequence[TokenRun],
        cut_tokens: int,
        max_pixels: int | None,
        *,
        position: int,
        learned: int = 0,
    ) -> Example:
        """Join runs into an example and assert that its tokens equal its images' features.

        Answers are labels from the run with the number `learned` on.
        """
        images = _images_in_order(capture)
        shown = self._runs(capture, images, max_pixels)
        ids: list[int] = []
        spans: list[tuple[int, int]] = []
        uses: list[ImageUse] = []
        prefix = sum(len(run.ids) for run in takewhile(lambda run: not run.trained, runs))
        for number, run in enumerate(runs):
            start, end = len(ids), len(ids) + len(run.ids)
            ids.extend(run.ids)
            if run.image == len(uses):
                image, own = images[run.image], shown[run.image]
                uses.append(
                    ImageUse(
                        file=Digest(image["file"]),
                        pixels=Digest(image["pixels"]),
                        form=own.form,
                        max_pixels=max_pixels,
                        start=start,
                        tokens=own.tokens,
                        among=self._among(capture),
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
            cut_tokens=cut_tokens,
        )


def _last_text(skeleton: Skeleton) -> int:
    return max(piece.number for piece in skeleton.pieces if piece.kind is PieceKind.SLOT)


def _texts_in_order(capture: Capture, *, joined: bool) -> list[str]:
    """The texts of all messages; `joined`, those of one message are one text."""
    messages = [
        [block["text"] for block in message["content"] if block["type"] == "text"]
        for message in capture["messages"]
    ]
    return ["".join(own) for own in messages] if joined else [t for own in messages for t in own]


def _images_in_order(capture: Capture) -> list[CaptureImage]:
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
