"""Models: logits and log-probabilities where labels are, and only there.

What training learns from and what evaluation measures of answers that are given is computed here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kolm.models.forward import Tokens, logits_of

if TYPE_CHECKING:
    import torch

    from kolm.models.base import LoadedBase
    from kolm.models.taps import Recording


class Labelled(Tokens, Protocol):
    """Token ids of a padded batch with labels."""

    @property
    def label_rows(self) -> torch.Tensor:
        """Rows of the flattened batch whose hidden state predicts a label."""

    @property
    def label_ids(self) -> torch.Tensor:
        """The labels, in the order of `label_rows`."""


def label_logits(base: LoadedBase, batch: Labelled, pictures: Recording | None) -> torch.Tensor:
    """Logits where labels are, and only there: (labels, vocabulary).

    Args:
        base: an adapter's layers in place or not.
        batch: right-padded.
        pictures: those of the batch, in order; None when it shows none.
    """
    hidden = base.forward.hidden(batch, pictures)
    rows = batch.label_rows.to(hidden.device)
    chosen = hidden.reshape(-1, hidden.shape[-1]).index_select(0, rows)
    return logits_of(base.model, chosen)


def cross_entropy(base: LoadedBase, batch: Labelled, pictures: Recording | None) -> torch.Tensor:
    """The sum of the labels' cross-entropies, a scalar in float32."""
    import torch

    logits = label_logits(base, batch, pictures)
    labels = batch.label_ids.to(logits.device)
    return torch.nn.functional.cross_entropy(logits.float(), labels, reduction="sum")


def log_probabilities(
    base: LoadedBase, batch: Labelled, pictures: Recording | None
) -> torch.Tensor:
    """The log-probability of each label, (labels,), in float32."""
    import torch

    logits = label_logits(base, batch, pictures)
    labels = batch.label_ids.to(logits.device)
    return -torch.nn.functional.cross_entropy(logits.float(), labels, reduction="none")
