"""Encode: a batch of prompts becomes answers.

Prompts of one batch that show the model the very same input are answered once: in the blind run
most are. Which ones are the same is fixed by the batch, so an answer still depends on its batch
alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from kolm.digest import Digest
from kolm.encode.batches import collate
from kolm.encode.examples import Example, ImageUse
from kolm.models.base import LoadedBase
from kolm.models.generation import LENGTH, Generated
from kolm.models.sampling import Draws, Sampler
from kolm.models.taps import Recording
from kolm.score.judge import LONGEST_OUTPUT_CHARACTERS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from kolm.records.documents import PredictionsRowOutcomeFinish
    from kolm.score.judge import Said


class Shown(Protocol):
    """What prompts show the model."""

    def identity(self, use: ImageUse) -> Hashable:
        """Equal for two uses exactly when they show the model the same picture."""

    def gather(self, uses: Sequence[ImageUse]) -> Recording:
        """The recordings of images, one after the other; at least one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model said to one prompt."""

    output: str
    tokens: int
    finish: PredictionsRowOutcomeFinish

    def said(self) -> Said:
        """The answer as a document."""
        return {"output": self.output, "tokens": self.tokens, "finish": self.finish}


def answer_batch(
    base: LoadedBase,
    examples: Sequence[Example],
    pictures: Shown,
    *,
    max_new_tokens: int,
    draws: Draws | None = None,
) -> list[Answer]:
    """Answer the prompts of one batch, in order.

    Args:
        base: an adapter's layers in place or not.
        examples: the prompts.
        pictures: that they show.
        max_new_tokens: an answer that has not ended by then is cut.
        draws: how answers are drawn, with a seed for each prompt; without it each is the one of
            the most likely tokens.
    """
    seeds = [None] * len(examples) if draws is None else draws.seeds
    shown = [_shown(example, pictures) for example in examples]
    keys = list(zip(shown, seeds, strict=True))
    distinct = dict(zip(keys, examples, strict=True))  # in the order of their first prompts
    batch = collate(
        list(distinct.values()),
        image_token_id=base.pictures.image_token_id,
        pad_token_id=base.pad_token_id,
        side="left",
    )
    generated = base.forward.answer(
        batch,
        pictures.gather(batch.images) if batch.images else None,
        max_new_tokens=max_new_tokens,
        end_ids=base.end_ids,
        choose=None if draws is None else Sampler(replace(draws, seeds=_seeds(distinct))),
    )
    tokenizer = base.pictures.processor.tokenizer
    answers = {
        key: read_answer(tokenizer, row) for key, row in zip(distinct, generated, strict=True)
    }
    return [answers[key] for key in keys]


def read_answer(tokenizer: PreTrainedTokenizerBase, generated: Generated) -> Answer:
    """The text of generated ids, without special tokens; too long a text is cut."""
    text = tokenizer.decode(
        list(generated.ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    cut = len(text) > LONGEST_OUTPUT_CHARACTERS
    return Answer(
        output=text[:LONGEST_OUTPUT_CHARACTERS],
        tokens=len(generated.ids),
        finish=LENGTH if cut else generated.finish,
    )


def _seeds(keys: Iterable[tuple[Hashable, Digest | None]]) -> list[Digest]:
    return [seed for _, seed in keys if seed is not None]


def _shown(example: Example, pictures: Shown) -> Hashable:
    return example.input_ids, tuple(pictures.identity(use) for use in example.images)
