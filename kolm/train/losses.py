"""Train: a batch's loss by the lock's objective, as a sum that its window's size divides.

An objective that learns from pairs is a formula over log-probabilities of answers
(`kolm.objectives`); gathering these is the same for all of them, and stands here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from kolm.encode.batches import Batch, collate
from kolm.encode.examples import Example, Learnable, Pair
from kolm.encode.pictures import Pictures
from kolm.models.base import LoadedBase
from kolm.models.likelihood import cross_entropy, log_probabilities
from kolm.objectives import Objective, Sides

if TYPE_CHECKING:
    import torch

    from kolm.models.taps import Recording


class Summed(NamedTuple):
    """What a batch came to.

    Attributes:
        loss: the sum over its label tokens, or over its pairs: a scalar in float32.
        real_tokens: that went through the model.
        facts: sums of what the objective states, by name; `preferred` is a count.
    """

    loss: torch.Tensor
    real_tokens: int
    facts: Mapping[str, float]


class Loss(Protocol):
    """The loss of batches."""

    def size(self, examples: Sequence[Learnable]) -> int:
        """By what the sum over a window is divided, of its examples."""

    def __call__(self, examples: Sequence[Learnable]) -> Summed:
        """The sum over the examples of one batch."""


def make_loss(objective: Objective, base: LoadedBase, pictures: Pictures) -> Loss:
    """The loss of an objective.

    Args:
        objective: of the lock.
        base: an adapter's layers in place or not.
        pictures: gives those of a batch.
    """
    kind = PairLoss if objective.PAIRED else TokenLoss
    return kind(objective, base, pictures)


class TokenLoss:
    """The cross-entropy of the labels, divided by their number."""

    def __init__(self, _: Objective, base: LoadedBase, pictures: Pictures) -> None:
        self._base = base
        self._pictures = pictures

    def size(self, examples: Sequence[Learnable]) -> int:
        """The labels of the examples."""
        return sum(example.label_tokens for example in examples)

    def __call__(self, examples: Sequence[Learnable]) -> Summed:
        """The sum over the labels of one batch."""
        batch = _collate(self._base, [one for one in examples if isinstance(one, Example)])
        loss = cross_entropy(self._base, batch, _shown(self._pictures, batch))
        return Summed(loss, batch.real_tokens, {})


class PairLoss:
    """A formula over the log-probabilities of chosen and rejected answers, divided by the pairs."""

    def __init__(self, objective: Objective, base: LoadedBase, pictures: Pictures) -> None:
        self._objective = objective
        self._base = base
        self._pictures = pictures

    def size(self, examples: Sequence[Learnable]) -> int:
        """The pairs."""
        return len(examples)

    def __call__(self, examples: Sequence[Learnable]) -> Summed:
        """The sum over the pairs of one batch."""
        pairs = _pairs(examples)
        policy, real_tokens = self._likelihoods(pairs)
        terms = self._objective.terms(policy, self._reference(pairs, policy.chosen))
        rewards = terms.rewards
        means = {
            "chosen_reward": rewards.chosen,
            "rejected_reward": rewards.rejected,
            "margin": rewards.chosen - rewards.rejected,
            "preferred": rewards.chosen > rewards.rejected,
            **terms.more,
        }
        facts = {name: float(each.detach().double().sum()) for name, each in means.items()}
        return Summed(terms.losses.sum(), real_tokens, facts)

    def likelihoods(self, examples: Sequence[Learnable]) -> Sides:
        """Of each pair the log-probabilities of both answers, (pairs,) each, in float32."""
        return self._likelihoods(_pairs(examples))[0]

    def _likelihoods(self, pairs: Sequence[Pair]) -> tuple[Sides, int]:
        import torch

        chosen, rejected = [one.chosen for one in pairs], [one.rejected for one in pairs]
        batch = _collate(self._base, [*chosen, *rejected])
        each = log_probabilities(self._base, batch, _shown(self._pictures, batch))
        # Summed answer by answer: an addition by index has no fixed order on every device.
        answers = torch.stack(
            [self._answer(own) for own in torch.split(each, list(batch.label_counts))]
        )
        count = len(pairs)
        return Sides(answers[:count], answers[count:]), batch.real_tokens

    def _answer(self, labels: torch.Tensor) -> torch.Tensor:
        weights = self._objective.weight(labels.new_zeros(labels.shape))
        total: torch.Tensor = (weights * labels).sum()
        return total / weights.sum() if self._objective.MEAN else total

    def _reference(self, pairs: Sequence[Pair], like: torch.Tensor) -> Sides:
        known = [(0.0, 0.0) if one.reference is None else one.reference for one in pairs]
        chosen, rejected = zip(*known, strict=True)
        return Sides(like.new_tensor(chosen), like.new_tensor(rejected))


def _pairs(examples: Sequence[Learnable]) -> list[Pair]:
    return [one for one in examples if isinstance(one, Pair)]


def _collate(base: LoadedBase, examples: Sequence[Example]) -> Batch:
    return collate(
        examples, image_token_id=base.pictures.image_token_id, pad_token_id=base.pad_token_id
    )


def _shown(pictures: Pictures, batch: Batch) -> Recording | None:
    return pictures(batch.images) if batch.images else None
