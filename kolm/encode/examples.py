"""Encode: the records that encoding hands on, and the reasons for which it drops a capture."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kolm.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageUse:
    """One image inside one example.

    Attributes:
        file: digest of the stored bytes.
        pixels: digest of the decoded upright pixels.
        form: numbers that are equal for images which can go through the tower in one call.
        max_pixels: a lower limit than the processor's own when the image was shrunk to fit.
        start: position in the example of the first control token that stands for the image.
        tokens: number of its feature tokens, which is the number of its features.
        among: it stands among other images of its example, and that changes what it becomes.
        shown: how many sequences of patches the tower makes of it, and of how many numbers each.
    """

    file: Digest
    pixels: Digest
    form: tuple[int, ...]
    max_pixels: int | None
    start: int
    tokens: int
    among: bool = False
    shown: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One capture as token ids.

    Attributes:
        position: the capture's 0-based number among the snapshot's lines of its side; -1 where
            that means nothing.
        input_ids: the whole conversation, images expanded to one token a feature.
        prefix: how many of them stand before the first answer.
        trained: half-open spans of positions that are labels; none in a prompt.
        images: in the order of their tokens.
        cut_tokens: prompt tokens that the budget took out.
        corrected: of each label whether it was corrected; empty where nobody asks.
    """

    position: int
    input_ids: tuple[int, ...]
    prefix: int
    trained: tuple[tuple[int, int], ...]
    images: tuple[ImageUse, ...]
    cut_tokens: int = 0
    corrected: tuple[bool, ...] = ()

    @property
    def tokens(self) -> int:
        """Its length."""
        return len(self.input_ids)

    @property
    def label_tokens(self) -> int:
        """How many tokens are labels."""
        return sum(end - start for start, end in self.trained)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One capture as two conversations that differ in their last answer, which alone is learned.

    Attributes:
        chosen: with the reference answer.
        rejected: with the answer that is worse; position and images are the same.
        unrelated: the same prompt with the answer to another, where the objective reads one.
        reference: log-probabilities of these answers before state 0, once they are known.
    """

    chosen: Example
    rejected: Example
    unrelated: Example | None = None
    reference: tuple[float, ...] = ()

    @property
    def position(self) -> int:
        """The capture's, as of an example."""
        return self.chosen.position

    @property
    def images(self) -> tuple[ImageUse, ...]:
        """Of either conversation."""
        return self.chosen.images

    @property
    def cut_tokens(self) -> int:
        """Prompt tokens that the budget took out of both."""
        return self.chosen.cut_tokens

    @property
    def tokens(self) -> int:
        """The length of the longer conversation."""
        return max(self.chosen.tokens, self.rejected.tokens)

    @property
    def label_tokens(self) -> int:
        """How many tokens of both are labels."""
        return self.chosen.label_tokens + self.rejected.label_tokens


Learnable = Example | Pair


class DropReason(StrEnum):
    """Why a capture is not trained on."""

    OVER_BUDGET = "over_budget"  # longer than max_seq_length even with its prompt text cut
    TOO_MANY_IMAGES = "too_many_images"  # more images than max_images
    NO_LABELS = "no_labels"  # nothing in it is an answer
    SAME_ANSWERS = "same_answers"  # chosen and rejected differ in white space at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A capture that is not trained on, with the reason; examples.jsonl states it."""

    position: int
    reason: DropReason
