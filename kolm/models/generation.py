"""Models: greedy answers for a left-padded batch, with a key-value cache and nothing else.

Stands between prepared prompts (embeddings with image features already in place, positions, mask)
and token ids. Evaluation, rescoring and running a bundle share it. It equals
``generate(do_sample=False)`` of transformers token for token, without its per-step bookkeeping:
logits only at the last position, and the loop ends with the last row.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kolm.errors import Refused

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from kolm.records.documents import PredictionsRowOutcomeFinish

STOP: Final = "stop"
LENGTH: Final = "length"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """The answer of one row.

    Attributes:
        ids: what was generated, the ending token included.
        finish: ``stop`` when the model ended the answer itself, ``length`` when it was cut.
    """

    ids: tuple[int, ...]
    finish: PredictionsRowOutcomeFinish


def end_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The ids that end an answer: the base's generation config's, else the tokenizer's.

    Raises:
        Refused: ``E_BASE_NO_END_TOKEN`` when neither names one.
    """
    named = getattr(model.generation_config, "eos_token_id", None)
    if named is None:
        named = tokenizer.eos_token_id
    if named is None:
        raise Refused(
            "E_BASE_NO_END_TOKEN",
            "the base has no end-of-sequence token",
            where="generation_config.json",
            expected="eos_token_id",
        )
    return frozenset([named] if isinstance(named, int) else named)


def read_rows(rows: Sequence[Sequence[int]], end_ids: Collection[int]) -> list[Generated]:
    """Generated rows up to the token that ended each; without one a row was cut."""
    answers = []
    for row in rows:
        end = next((i for i, token in enumerate(row) if token in end_ids), None)
        ids = tuple(row) if end is None else tuple(row[: end + 1])
        answers.append(Generated(ids=ids, finish=LENGTH if end is None else STOP))
    return answers


def generate_greedy(
    model: PreTrainedModel,
    *,
    embeddings: torch.Tensor,
    attention_mask: torch.Tensor,
    position_ids: torch.Tensor,
    max_new_tokens: int,
    end_ids: Collection[int],
) -> list[Generated]:
    """Answer every row of a left-padded batch with its most likely token at each step.

    Args:
        model: the base, PEFT's layers in place or not.
        embeddings: (batch, length, width), image features in their places.
        attention_mask: (batch, length), 1 where a prompt is; every row ends with a 1.
        position_ids: (3, batch, length).
        max_new_tokens: at least 1; an answer that has not ended by then is cut.
        end_ids: tokens that end an answer.

    Returns:
        One answer a row, in order. Which token wins a tie is torch's `argmax`: the first.
    """
    import torch
    from transformers import DynamicCache

    rows = embeddings.shape[0]
    decoder = model.get_decoder()
    cache = DynamicCache(config=decoder.config)
    # A mask of ones is the same as none, and none spares building it at every step.
    mask = None if bool(attention_mask.all()) else attention_mask
    following = position_ids.amax(dim=(0, 2)) + 1
    answers: list[list[int]] = [[] for _ in range(rows)]
    open_rows = set(range(rows))
    with torch.no_grad():
        for step in range(max_new_tokens):
            out = decoder(
                inputs_embeds=embeddings,
                attention_mask=mask,
                position_ids=position_ids,
                past_key_values=cache,
                use_cache=True,
            )
            chosen = model.get_output_embeddings()(out.last_hidden_state[:, -1]).argmax(dim=-1)
            tokens = chosen.tolist()
            for row in sorted(open_rows):
                answers[row].append(tokens[row])
            open_rows = {row for row in open_rows if tokens[row] not in end_ids}
            if not open_rows:
                break
            embeddings = model.get_input_embeddings()(chosen[:, None])
            position_ids = (following + step)[None, :, None].expand(3, rows, 1)
            if mask is not None:
                mask = torch.cat([mask, mask.new_ones(rows, 1)], dim=1)
    return [
        Generated(ids=tuple(ids), finish=LENGTH if row in open_rows else STOP)
        for row, ids in enumerate(answers)
    ]
