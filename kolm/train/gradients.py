"""Train: in how many steps each trainable tensor saw a gradient: the first half of the evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from kolm.adapters.attach import AdapterTensor


class GradientCounter:
    """Counts for each trainable tensor the steps in which its gradient was not zero."""

    def __init__(self, tensors: Sequence[AdapterTensor]) -> None:
        import torch

        self._tensors = tensors
        self._counts = torch.zeros(len(tensors), dtype=torch.int64)

    def observe(self) -> torch.Tensor:
        """Look at the gradients of a step.

        Returns:
            The norm over all of them, a scalar; tensors without a gradient count as zero.
        """
        import torch

        gradients = [tensor.parameter.grad for tensor in self._tensors]
        present = [gradient for gradient in gradients if gradient is not None]
        norms = torch.stack(torch._foreach_norm(present))
        self._count(gradients, norms)
        total: torch.Tensor = torch.linalg.vector_norm(norms)
        return total

    def _count(self, gradients: Sequence[torch.Tensor | None], norms: torch.Tensor) -> None:
        import torch

        where = torch.tensor([i for i, g in enumerate(gradients) if g is not None])
        self._counts[where] += (norms > 0).cpu()

    def counts(self) -> dict[str, int]:
        """Steps with a gradient, by tensor name."""
        pairs = zip(self._tensors, self._counts.tolist(), strict=True)
        return {tensor.name: count for tensor, count in pairs}

    def restore(self, counts: Mapping[str, int]) -> None:
        """Continue from the counts of a checkpoint."""
        import torch

        self._counts = torch.tensor(
            [counts[tensor.name] for tensor in self._tensors], dtype=torch.int64
        )
