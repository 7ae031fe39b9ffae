"""Encode: examples become one batch of padded arrays.

Training pads on the right, generation on the left. Image tokens and label positions travel as row
numbers of the flattened batch, so that features are put in, and hidden states are taken out,
without a mask over all positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from kolm.encode.examples import Example, ImageUse
from kolm.models.forward import Branches

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Examples of one batch. Rows are positions of the batch flattened to (batch x length).

    Attributes:
        input_ids: (batch, length) int64.
        attention_mask: (batch, length) int64, 1 where an example is.
        image_mask: (batch, length) int64, 1 where an image token is.
        answer_mask: (batch, length) int64, 1 from the first answer on; in what fills up on the
            right too.
        images: the images of all examples, in order.
        label_rows: rows whose hidden state predicts a label (one before the label).
        label_ids: the labels, in the order of `label_rows`.
        label_counts: how many of them each example has, in the order of the examples.
        positions: of the examples among the snapshot's lines of their side.
        branches: of rows with two answers behind one prompt; None where each has a row.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    image_mask: torch.Tensor
    answer_mask: torch.Tensor
    images: tuple[ImageUse, ...]
    label_rows: torch.Tensor
    label_ids: torch.Tensor
    label_counts: tuple[int, ...]
    positions: tuple[int, ...]
    branches: Branches | None = None

    @property
    def real_tokens(self) -> int:
        """Tokens that are not padding."""
        return int(self.attention_mask.sum())


def collate(
    examples: Sequence[Example],
    *,
    image_token_id: int,
    pad_token_id: int,
    side: Literal["right", "left"] = "right",
) -> Batch:
    """Pad examples to the longest of them.

    Args:
        examples: at least one.
        image_token_id: the id of an image token.
        pad_token_id: the id that fills up.
        side: where the padding goes.
    """
    import numpy as np
    import torch

    length = max(len(example.input_ids) for example in examples)
    shape = (len(examples), length)
    ids = np.full(shape, pad_token_id, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    answered = np.zeros(shape, dtype=np.int64)
    label_rows: list[np.ndarray] = []
    label_ids: list[int] = []
    for row, example in enumerate(examples):
        own = len(example.input_ids)
        start = length - own if side == "left" else 0
        ids[row, start : start + own] = example.input_ids
        mask[row, start : start + own] = 1
        answered[row, start + example.prefix :] = 1
        offset = row * length + start
        for first, end in example.trained:
            label_rows.append(np.arange(offset + first - 1, offset + end - 1))
            label_ids.extend(example.input_ids[first:end])
    return Batch(
        input_ids=torch.from_numpy(ids),
        attention_mask=torch.from_numpy(mask),
        image_mask=torch.from_numpy((ids == image_token_id).astype(np.int64)),
        answer_mask=torch.from_numpy(answered),
        images=tuple(use for example in examples for use in example.images),
        label_rows=torch.from_numpy(
            np.concatenate(label_rows) if label_rows else np.empty(0, dtype=np.int64)
        ),
        label_ids=torch.tensor(label_ids, dtype=torch.int64),
        label_counts=tuple(example.label_tokens for example in examples),
        positions=tuple(example.position for example in examples),
    )
