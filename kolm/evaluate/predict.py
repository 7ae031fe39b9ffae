"""Evaluate: a batch of prompts becomes answers.

Prompts of one batch that show the model the very same input are answered once: in the blind run
most are. Which ones are the same is fixed by the batch, so an answer still depends on its batch
alone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kolm.encode.batches import Batch, collate
from kolm.encode.examples import Example
from kolm.evaluate.pictures import Pictures
from kolm.models.family import FamilyRuntime
from kolm.models.generation import LENGTH, Generated, generate_greedy
from kolm.score.judge import LONGEST_OUTPUT_CHARACTERS

if TYPE_CHECKING:
    import torch

    from kolm.records.documents import PredictionsRowOutcomeFinish
    from kolm.score.judge import Said


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model said to one prompt."""

    output: str
    tokens: int
    finish: PredictionsRowOutcomeFinish

    def said(self) -> Said:
        """The answer as a document."""
        return {"output": self.output, "tokens": self.tokens, "finish": self.finish}


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """A loaded model with everything that turning prompts into text needs.

    Attributes:
        model: the base, PEFT's layers in place or not.
        family: the runtime of its family.
        tokenizer: of the base.
        image_token_id: the id of an image token.
        pad_token_id: the id that fills up.
        end_ids: tokens that end an answer.
        max_new_tokens: an answer that has not ended by then is cut.
    """

    model: Any
    family: FamilyRuntime
    tokenizer: Any
    image_token_id: int
    pad_token_id: int
    end_ids: Collection[int]
    max_new_tokens: int


def answer_batch(speaker: Speaker, examples: Sequence[Example], pictures: Pictures) -> list[Answer]:
    """Answer the prompts of one batch, in order."""
    keys = [_shown(example, pictures) for example in examples]
    distinct = dict(zip(keys, examples, strict=True))  # in the order of their first prompts
    batch = collate(
        list(distinct.values()),
        speaker.family,
        merge=speaker.family.merge_size(speaker.model),
        image_token_id=speaker.image_token_id,
        pad_token_id=speaker.pad_token_id,
        side="left",
    )
    generated = generate_greedy(
        speaker.model,
        speaker.family,
        embeddings=embed(speaker, batch, pictures),
        attention_mask=batch.attention_mask,
        position_ids=batch.position_ids,
        max_new_tokens=speaker.max_new_tokens,
        end_ids=speaker.end_ids,
    )
    answers = {key: read_answer(speaker, row) for key, row in zip(distinct, generated, strict=True)}
    return [answers[key] for key in keys]


def embed(speaker: Speaker, batch: Batch, pictures: Pictures) -> torch.Tensor:
    """Token embeddings with projected image features in their places: (batch, length, width)."""
    import torch

    with torch.no_grad():
        embeddings = speaker.family.token_embeddings(speaker.model, batch.input_ids)
        if not batch.images:
            return embeddings
        features = torch.cat([pictures.features(use) for use in batch.images])
        grids = [use.grid for use in batch.images]
        projected = speaker.family.project(speaker.model, features, grids).to(embeddings.dtype)
        flat = embeddings.reshape(-1, embeddings.shape[-1])
        return flat.index_copy(0, batch.image_rows, projected).view_as(embeddings)


def read_answer(speaker: Speaker, generated: Generated) -> Answer:
    """The text of generated ids, without special tokens; too long a text is cut."""
    text = speaker.tokenizer.decode(
        list(generated.ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    cut = len(text) > LONGEST_OUTPUT_CHARACTERS
    return Answer(
        output=text[:LONGEST_OUTPUT_CHARACTERS],
        tokens=len(generated.ids),
        finish=LENGTH if cut else generated.finish,
    )


def _shown(example: Example, pictures: Pictures) -> Any:
    return example.input_ids, tuple(pictures.identity(use) for use in example.images)
