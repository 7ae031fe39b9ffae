"""Encode: the two answers of a pair behind one prompt, in one row.

    prompt, chosen answer, rejected answer        positions of the last restart behind the prompt

An answer sees the prompt and itself, never the other one, so its hidden states are those of a row
of its own; what they have in common, the prompt with its pictures, goes through the model once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kolm.encode.batches import Batch
from kolm.encode.examples import Example, Pair
from kolm.models.forward import Branches

if TYPE_CHECKING:
    import numpy as np

PROMPT, CHOSEN, REJECTED, PADDING = range(4)


def collate_pairs(pairs: Sequence[Pair], *, image_token_id: int, pad_token_id: int) -> Batch:
    """Pad pairs to the longest of them; labels are those of all chosen answers, then the others.

    Args:
        pairs: at least one.
        image_token_id: the id of an image token.
        pad_token_id: the id that fills up.
    """
    import numpy as np
    import torch

    rows = [_row(pair) for pair in pairs]
    shape = (len(rows), max(len(ids) for ids, _ in rows))
    ids = np.full(shape, pad_token_id, dtype=np.int64)
    owners = np.full(shape, PADDING, dtype=np.int64)
    restarts = np.zeros(shape, dtype=np.int64)
    answered = np.ones(shape, dtype=np.int64)
    for number, (pair, (own, owner)) in enumerate(zip(pairs, rows, strict=True)):
        ids[number, : len(own)] = own
        owners[number, : len(own)] = owner
        answered[number, : pair.chosen.prefix] = 0
        ((start, end),) = pair.chosen.trained
        restarts[number, end : len(own)] = end - start
    places = [_places(pair, number * shape[1]) for number, pair in enumerate(pairs)]
    examples = [*(pair.chosen for pair in pairs), *(pair.rejected for pair in pairs)]
    label_rows = [*(chosen for chosen, _ in places), *(rejected for _, rejected in places)]
    return Batch(
        input_ids=torch.from_numpy(ids),
        attention_mask=torch.from_numpy((owners != PADDING).astype(np.int64)),
        image_mask=torch.from_numpy((ids == image_token_id).astype(np.int64)),
        answer_mask=torch.from_numpy(answered),
        images=tuple(use for pair in pairs for use in pair.images),
        label_rows=torch.from_numpy(np.concatenate(label_rows)),
        label_ids=torch.tensor(
            [n for one in examples for a, b in one.trained for n in one.input_ids[a:b]],
            dtype=torch.int64,
        ),
        label_counts=tuple(example.label_tokens for example in examples),
        positions=tuple(pair.position for pair in pairs),
        branches=Branches(torch.from_numpy(owners), torch.from_numpy(restarts)),
    )


def _row(pair: Pair) -> tuple[list[int], list[int]]:
    """The ids of a row, without what follows the last label, and which branch each is of."""
    ((start, end),) = pair.chosen.trained
    other = _answer(pair.rejected)
    ids = [*pair.chosen.input_ids[:end], *other]
    owners = [PROMPT] * start + [CHOSEN] * (end - start) + [REJECTED] * len(other)
    return ids, owners


def _answer(example: Example) -> tuple[int, ...]:
    ((start, end),) = example.trained
    return example.input_ids[start:end]


def _places(pair: Pair, offset: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows that predict the labels of both answers: the first of each is the prompt's last."""
    import numpy as np

    ((start, end),) = pair.chosen.trained
    count = pair.rejected.label_tokens
    rejected = [start - 1, *range(end, end + count - 1)]
    return np.arange(start - 1, end - 1) + offset, np.asarray(rejected) + offset
