"""Objectives: supervised fine-tuning, the cross-entropy of the labels and of nothing else.

The loss is a sum over label tokens. Dividing by the number of label tokens of the whole
accumulation window, and not by that of each part, is what makes accumulation exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolm.models.forward import logits_of

if TYPE_CHECKING:
    import torch

    from kolm.encode.batches import Batch
    from kolm.models.base import LoadedBase
    from kolm.models.taps import Recording


def label_logits(base: LoadedBase, batch: Batch, pictures: Recording | None) -> torch.Tensor:
    """Logits where labels are, and only there: (labels, vocabulary).

    Args:
        base: with the adapter's layers in place.
        batch: right-padded.
        pictures: those of the batch, in order; None when it shows none.
    """
    hidden = base.forward.hidden(batch, pictures)
    rows = batch.label_rows.to(hidden.device)
    chosen = hidden.reshape(-1, hidden.shape[-1]).index_select(0, rows)
    return logits_of(base.model, chosen)


def summed_loss(base: LoadedBase, batch: Batch, pictures: Recording | None) -> torch.Tensor:
    """The sum of the labels' cross-entropies, a scalar in float32."""
    import torch

    logits = label_logits(base, batch, pictures)
    labels = batch.label_ids.to(logits.device)
    return torch.nn.functional.cross_entropy(logits.float(), labels, reduction="sum")
