"""Train: a batch's loss by the lock's objective, as a sum that its window's size divides.

An objective that learns from pairs is a formula over log-probabilities of answers
(`kolm.objectives`); gathering these is the same for all of them, and stands here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from kolm.encode.batches import Batch, collate
from kolm.encode.examples import Example, Learnable, Pair
from kolm.encode.pairs import with_unrelated
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

    def point(self, window: Sequence[Sequence[Learnable]]) -> float:
        """The mean log-ratio of unrelated answers, where the formula reads it."""
        import torch

        if not self._objective.UNRELATED:
            return 0.0
        total = count = 0.0
        with torch.no_grad():
            for batch in window:
                pairs = _pairs(batch)
                found = self._likelihoods(_unrelated(pairs))[0]
                known = found.new_tensor([pair.reference[2] for pair in pairs])
                total += float((found - known).double().sum())
                count += len(pairs)
        return total / count

    def __call__(self, examples: Sequence[Learnable], point: float) -> Summed:
        """The sum over the pairs of one batch."""
        pairs = _pairs(examples)
        answers, real_tokens = self._likelihoods(_both(pairs))
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
        found = [*self._likelihoods(_both(pairs))[0].chunk(2)]
        if self._objective.UNRELATED:
            found.append(self._likelihoods(_unrelated(pairs))[0])
        return found

    def _likelihoods(self, examples: Sequence[Example]) -> tuple[torch.Tensor, int]:
        import torch

        batch = _collate(self._base, examples)
        each = log_probabilities(self._base, batch, _shown(self._pictures, batch))
        # Summed answer by answer: an addition by index has no fixed order on every device.
        labels = torch.split(each, list(batch.label_counts))
        answers = [self._answer(*own) for own in zip(examples, labels, strict=True)]
        return torch.stack(answers), batch.real_tokens

    def _answer(self, example: Example, labels: torch.Tensor) -> torch.Tensor:
        corrected = labels.new_tensor(example.corrected or (False,) * len(labels))
        weights = self._objective.weight(corrected)
        total: torch.Tensor = (weights * labels).sum()
        return total / weights.sum() if self._objective.MEAN else total


def _pairs(examples: Sequence[Learnable]) -> list[Pair]:
    return [one for one in examples if isinstance(one, Pair)]


def _both(pairs: Sequence[Pair]) -> list[Example]:
    return [*(pair.chosen for pair in pairs), *(pair.rejected for pair in pairs)]


def _unrelated(pairs: Sequence[Pair]) -> list[Example]:
    return [pair.unrelated for pair in pairs if pair.unrelated is not None]


def _collate(base: LoadedBase, examples: Sequence[Example]) -> Batch:
    return collate(
        examples, image_token_id=base.pictures.image_token_id, pad_token_id=base.pad_token_id
    )


def _shown(pictures: Pictures, batch: Batch) -> Recording | None:
    return pictures(batch.images) if batch.images else None
