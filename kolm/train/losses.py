"""Train: a batch's loss by the lock's objective, as a sum that its window's size divides.

An objective that learns from pairs is a formula over log-probabilities of answers
(`kolm.objectives`); gathering these is the same for all of them, and stands here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from kolm.encode.examples import Example, Learnable, Pair
from kolm.encode.likelihoods import Likelihoods, shown
from kolm.encode.pairs import with_unrelated
from kolm.encode.pictures import Pictures
from kolm.models.base import LoadedBase
from kolm.models.likelihood import cross_entropy
from kolm.objectives import Objective, Sides

if TYPE_CHECKING:
    import torch


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

    def point(self, window: Sequence[Sequence[Learnable]]) -> float:
        """What the formula reads of a window's batches together, before any of them; mostly 0."""

    def __call__(self, examples: Sequence[Learnable], point: float) -> Summed:
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

    def point(self, window: Sequence[Sequence[Learnable]]) -> float:
        """Nothing."""
        return 0.0

    def __call__(self, examples: Sequence[Learnable], point: float) -> Summed:
        """The sum over the labels of one batch."""
        own = [example for example in examples if isinstance(example, Example)]
        batch, pictures = shown(self._base, own, self._pictures)
        loss = cross_entropy(self._base, batch, pictures)
        return Summed(loss, batch.real_tokens, {})


class PairLoss:
    """A formula over the log-probabilities of chosen and rejected answers, divided by the pairs."""

    def __init__(self, objective: Objective, base: LoadedBase, pictures: Pictures) -> None:
        self._objective = objective
        self._likelihoods = Likelihoods(objective, base, pictures)

    def size(self, examples: Sequence[Learnable]) -> int:
        """The pairs."""
        return len(examples)

    def point(self, window: Sequence[Sequence[Learnable]]) -> float:
        """The mean log-ratio of unrelated answers, where the formula reads it."""
        import torch

        if not self._objective.UNRELATED:
            return 0.0
        total = count = 0.0
        with torch.no_grad():
            for batch in window:
                pairs = _pairs(batch)
                found = self._likelihoods.of(_unrelated(pairs))[0]
                known = found.new_tensor([pair.reference[2] for pair in pairs])
                total += float((found - known).double().sum())
                count += len(pairs)
        return total / count

    def __call__(self, examples: Sequence[Learnable], point: float) -> Summed:
        """The sum over the pairs of one batch."""
        pairs = _pairs(examples)
        answers, real_tokens = self._likelihoods.of_pairs(pairs)
        policy = Sides(*answers.chunk(2))
        known = [pair.reference or (0.0, 0.0) for pair in pairs]
        reference = Sides(*(answers.new_tensor([own[side] for own in known]) for side in (0, 1)))
        terms = self._objective.terms(policy, reference, point)
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

    def prepared(self, examples: Sequence[Learnable]) -> list[Pair]:
        """The pairs of a side with all that the formula reads of them but the reference."""
        pairs = _pairs(examples)
        return with_unrelated(pairs) if self._objective.UNRELATED else pairs

    def likelihoods(self, examples: Sequence[Learnable]) -> list[torch.Tensor]:
        """The log-probabilities of chosen, rejected and, where they are read, unrelated answers.

        Each has one number a pair, in float32.
        """
        pairs = _pairs(examples)
        found = [*self._likelihoods.of_pairs(pairs)[0].chunk(2)]
        if self._objective.UNRELATED:
            found.append(self._likelihoods.of(_unrelated(pairs))[0])
        return found


def _pairs(examples: Sequence[Learnable]) -> list[Pair]:
    return [one for one in examples if isinstance(one, Pair)]


def _unrelated(pairs: Sequence[Pair]) -> list[Example]:
    return [pair.unrelated for pair in pairs if pair.unrelated is not None]
