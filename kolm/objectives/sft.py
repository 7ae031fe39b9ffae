"""Objectives: supervised fine-tuning, the cross-entropy of the labels and of nothing else.

The loss is a sum over label tokens. Dividing by the number of label tokens of the whole
accumulation window, and not by that of each part, is what makes accumulation exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from kolm.encode.batches import Batch
    from kolm.models.family import FamilyRuntime

# Puts the projected features of a batch's images in order: (image tokens, width).
ImageEmbedder = Callable[["Batch"], "torch.Tensor"]


def embed(
    model: Any, family: FamilyRuntime, batch: Batch, image_embedder: ImageEmbedder
) -> torch.Tensor:
    """Input embeddings with each image's features in the places of its tokens.

    Returns:
        (batch, length, width).
    """
    tokens = family.token_embeddings(model, batch.input_ids)
    if not batch.images:
        return tokens
    flat = tokens.reshape(-1, tokens.shape[-1])
    features = image_embedder(batch).to(flat.dtype)
    return flat.index_copy(0, batch.image_rows, features).view_as(tokens)


def label_logits(
    model: Any, family: FamilyRuntime, batch: Batch, image_embedder: ImageEmbedder
) -> torch.Tensor:
    """Logits where labels are, and only there: (labels, vocabulary)."""
    embeddings = embed(model, family, batch, image_embedder)
    hidden = family.language_hidden(model, embeddings, batch.position_ids)
    chosen = hidden.reshape(-1, hidden.shape[-1]).index_select(0, batch.label_rows)
    return family.logits(model, chosen)


def summed_loss(
    model: Any, family: FamilyRuntime, batch: Batch, image_embedder: ImageEmbedder
) -> torch.Tensor:
    """The sum of the labels' cross-entropies, a scalar in float32."""
    import torch

    logits = label_logits(model, family, batch, image_embedder)
    return torch.nn.functional.cross_entropy(logits.float(), batch.label_ids, reduction="sum")
