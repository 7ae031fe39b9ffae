"""Encode: one capture becomes one `Example` or a `Pair`, to learn from, or a prompt to answer.

The only place where conversations become ids.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Self

from kolm.encode import pairs, segments
from kolm.encode.budget import count_tokens
from kolm.encode.conversation import Conversation, Conversations, Fitted
from kolm.encode.examples import Dropped, DropReason, Example, Learnable, Pair
from kolm.encode.skeleton import choose_template, name_template
from kolm.errors import Refused
from kolm.format.names import LOCK
from kolm.models.pictures import PictureProcessor
from kolm.objectives import Objective, objective_of

if TYPE_CHECKING:
    from kolm.records.documents import Capture, Lock, LockBaseTemplate


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
        self._max_seq_length = max_seq_length
        self._max_images = max_images
        self._shrink_images = shrink_images
        self._objective = objective
        chosen = choose_template(pictures)
        found = name_template(pictures, chosen)
        if template not in (None, found):
            raise Refused(
                "E_ENCODE_OTHER_TEMPLATE",
                "this base and this version of kolm do not train with the template of the lock",
                where=f"{LOCK}#/base/template",
                expected=f"{template['source']} {template['digest']}",
                found=f"{found['source']} {found['digest']}",
            )
        self._conversations = Conversations(pictures, chosen)

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
        conversation = self._conversations.of(capture)
        if len(conversation.images) > self._max_images:
            return Dropped(position=position, reason=DropReason.TOO_MANY_IMAGES)
        fitted = self._fit(conversation, conversation.whole)
        if fitted is None:
            return Dropped(position=position, reason=DropReason.OVER_BUDGET)
        example = conversation.example(fitted, position=position)
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
        sides = (self._conversations.of(capture), self._conversations.of(other))
        if len(sides[0].images) > self._max_images:
            return Dropped(position=position, reason=DropReason.TOO_MANY_IMAGES)
        if pairs.letters(capture) == pairs.letters(other):
            return Dropped(position=position, reason=DropReason.SAME_ANSWERS)
        lengths = [count_tokens(side.runs(side.whole)) for side in sides]
        longer = lengths.index(max(lengths))
        fitted = self._fit(sides[longer], sides[longer].whole)
        if fitted is None:
            return Dropped(position=position, reason=DropReason.OVER_BUDGET)
        short = sides[1 - longer]
        shorter = short.runs(short.whole, max_pixels=fitted.max_pixels)
        own = pairs.after_one_prompt(fitted.runs, shorter, is_cut=fitted.cut_tokens > 0)
        both = [fitted, fitted._replace(runs=own)]
        if longer:
            both.reverse()
        marks = self._corrected(capture, other, sides)
        chosen, rejected = (
            replace(
                side.example(runs, position=position, learned=pairs.last_answer(runs.runs)),
                corrected=corrected,
            )
            for side, runs, corrected in zip(sides, both, marks, strict=True)
        )
        return Pair(chosen=chosen, rejected=rejected)

    def encode_answers(self, capture: Capture) -> Pair:
        """Encode the chosen and the rejected answer behind the prompt that generation starts from.

        No answer is too long: it is measured, and not learned.

        Raises:
            Refused: as `encode_prompt`; ``E_TRAIN_NO_REJECTED``.
        """
        prompt = self.encode_prompt(capture)
        other = pairs.with_rejected(capture)
        sides = (self._conversations.of(capture), self._conversations.of(other))
        marks = self._corrected(capture, other, sides)
        chosen, rejected = (
            pairs.answered(prompt, side.runs(side.whole), corrected)
            for side, corrected in zip(sides, marks, strict=True)
        )
        return Pair(chosen=chosen, rejected=rejected)

    def encode_prompt(self, capture: Capture, *, position: int = -1) -> Example:
        """Encode everything before the last answer, as generation sees it.

        The ids are the ones that stand before the answer in training, unless a prompt is cut: in
        training it shares the budget with its answer, and here, where no answer is known, it
        has all of it. One that cannot be cut enough is refused, because an evaluation that
        leaves out hard cases says nothing.

        Raises:
            Refused: as `encode`, or the prompt does not fit (``E_ENCODE_PROMPT_TOO_LONG``), or
                it has more images than the limit (``E_ENCODE_TOO_MANY_IMAGES``).
        """
        conversation = self._conversations.of(capture)
        if len(conversation.images) > self._max_images:
            raise Refused(
                "E_ENCODE_TOO_MANY_IMAGES",
                "a capture to be answered has more images than max_images",
                expected=f"at most {self._max_images}",
                found=str(len(conversation.images)),
            )
        before = conversation.skeleton.answer_start
        fitted = self._fit(conversation, before)
        if fitted is None:
            raise Refused(
                "E_ENCODE_PROMPT_TOO_LONG",
                "a prompt does not fit even with its text cut",
                expected=f"at most {self._max_seq_length} tokens",
                found=f"{conversation.least_tokens(before)} tokens",
                hint="raise train.max_seq_length, or allow train.shrink_images",
            )
        return conversation.example(fitted, position=position, learned=len(fitted.runs))

    def answer_tokens(self, capture: Capture) -> int:
        """Tokens of the last answer as the base would write it, the one that ends it included."""
        conversation = self._conversations.of(capture)
        whole, before = (
            sum(len(run.ids) for run in conversation.runs(stop) if run.trained)
            for stop in (conversation.whole, conversation.skeleton.answer_start)
        )
        return whole - before

    def text_tokens(self, text: str) -> int:
        """Tokens of a text alone."""
        return len(self._conversations.texts.ids(text))

    def _fit(self, conversation: Conversation, stop: int) -> Fitted | None:
        return conversation.fit(stop, self._max_seq_length, shrink=self._shrink_images)

    def _corrected(
        self, capture: Capture, other: Capture, sides: tuple[Conversation, Conversation]
    ) -> tuple[segments.Marks, segments.Marks]:
        """Of each label of both answers whether it was corrected, where the objective asks."""
        match_tokens = None if self._objective is None else self._objective.match_tokens
        if match_tokens is None:
            return (), ()
        chosen, rejected = (
            runs[pairs.last_answer(runs) :]
            for runs in (side.runs(side.whole, located=True) for side in sides)
        )
        corrections = capture.get("corrections")
        if corrections is None:
            return segments.marks_by_difference(chosen, rejected, match_tokens)
        old, new = segments.corrected_texts(corrections)
        fronts = [
            pairs.front(answered) if side.strips_answer else 0
            for answered, side in zip((capture, other), sides, strict=True)
        ]
        return (
            segments.marks_of(chosen, new, fronts[0]),
            segments.marks_of(rejected, old, fronts[1]),
        )
