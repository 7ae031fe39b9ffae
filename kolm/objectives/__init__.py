"""Objectives: one file each and one line here; each turns a batch into a summed loss.

What a spec, a lock and a receipt may say of one is its fragment, ``schemas/objectives/KIND``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from kolm.objectives import sft

if TYPE_CHECKING:
    import torch

    from kolm.encode.batches import Batch
    from kolm.models.base import LoadedBase
    from kolm.models.taps import Recording

# The loss of a batch as a sum over its label tokens, a scalar in float32.
SummedLoss = Callable[["LoadedBase", "Batch", "Recording | None"], "torch.Tensor"]

# By kind, made from the settings of a lock's ``train.objective``.
OBJECTIVES: dict[str, Callable[[Mapping[str, object]], SummedLoss]] = {
    "sft": lambda settings: sft.summed_loss,
}
