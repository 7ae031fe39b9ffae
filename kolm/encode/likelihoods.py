"""Encode: how likely a model finds answers that are given, as the objective of a lock counts it.

Training compares these numbers with those of the reference, evaluation with those of the base.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kolm.encode.batches import Batch, collate
from kolm.encode.branches import collate_pairs
from kolm.encode.examples import Example, Pair
from kolm.encode.pictures import Pictures
from kolm.models.base import LoadedBase
from kolm.models.likelihood import log_probabilities
from kolm.objectives import Objective

if TYPE_CHECKING:
    import torch

    from kolm.models.taps import Recording


class Likelihoods:
    """The log-probabilities of answers.

    Args:
        objective: says whether they are sums or means, and what each token weighs.
        base: an adapter's layers in place or not.
        pictures: gives those of a batch.
    """

    def __init__(self, objective: Objective, base: LoadedBase, pictures: Pictures) -> None:
        self._objective = objective
        self._base = base
        self._pictures = pictures

    def of_pairs(self, pairs: Sequence[Pair]) -> tuple[torch.Tensor, int]:
        """As `of`, of all chosen answers and then of all rejected ones.

        Where the family allows it, both stand behind one prompt in one row.
        """
        examples = [*(pair.chosen for pair in pairs), *(pair.rejected for pair in pairs)]
        if not self._base.forward.branches:
            return self.of(examples)
        batch = collate_pairs(
            pairs,
            image_token_id=self._base.pictures.image_token_id,
            pad_token_id=self._base.pad_token_id,
        )
        return self._of(examples, batch, self._pictures(batch.images) if batch.images else None)

    def of(self, examples: Sequence[Example]) -> tuple[torch.Tensor, int]:
        """One number an example, in float32, and the tokens that went through the model."""
        return self._of(examples, *shown(self._base, examples, self._pictures))

    def _of(
        self, examples: Sequence[Example], batch: Batch, pictures: Recording | None
    ) -> tuple[torch.Tensor, int]:
        import torch

        each = log_probabilities(self._base, batch, pictures)
        # Summed answer by answer: an addition by index has no fixed order on every device.
        labels = torch.split(each, list(batch.label_counts))
        answers = [
            answer(self._objective, own, example.corrected)
            for example, own in zip(examples, labels, strict=True)
        ]
        return torch.stack(answers), batch.real_tokens


def answer(objective: Objective, labels: torch.Tensor, corrected: Sequence[bool]) -> torch.Tensor:
    """An answer's log-probability as a formula reads it.

    Args:
        objective: says whether it is a sum or a mean, and what each token weighs.
        labels: the log-probabilities of the answer's tokens.
        corrected: of each, whether it is not the same in both answers; empty where nobody asks.
    """
    marks = labels.new_tensor(corrected or (False,) * len(labels))
    weights = marks * (objective.corrected_weight - 1) + 1
    total: torch.Tensor = (weights * labels).sum()
    return total / weights.sum() if objective.MEAN else total


def shown(
    base: LoadedBase, examples: Sequence[Example], pictures: Pictures
) -> tuple[Batch, Recording | None]:
    """Examples as one right-padded batch, with the recordings of what they show."""
    batch = collate(
        examples, image_token_id=base.pictures.image_token_id, pad_token_id=base.pad_token_id
    )
    return batch, pictures(batch.images) if batch.images else None
