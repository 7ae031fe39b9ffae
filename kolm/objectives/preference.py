"""Objectives over pairs: what their facts have in common, and how these are held against a row.

A step states the mean implicit reward of its chosen and of its rejected answers, the difference
(the margin), and of how many pairs the chosen answer has the larger reward. Source of these
numbers: arXiv:2305.18290, section 4 (the implicit reward) and its reward accuracies.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, Final

from kolm import canonical
from kolm.objectives.objective import Facts, Number, Sides, Step, Terms
from kolm.records.codec import to_document

if TYPE_CHECKING:
    from kolm.records.documents import TraceRowStep

FACTS: Final = ("chosen_reward", "margin", "preferred", "rejected_reward")

# Facts are rounded to six places each, and a difference of two has the roundings of three.
_ROUNDING: Final = Decimal("0.000002")
# By as much may a token's log-probability differ from itself, computed in a batch of other shape:
# a hundred times what was measured in float32, and several times what bfloat16 gives.
_NOISE: Final = {"float32": 1e-4, "bfloat16": 0.05}
FROM_THE_MEAN: Final = 8  # and the margin of one pair by so many times as much as the mean reward


def softplus(value: Number) -> Number:
    """log(1 + e^x) of numbers or of a float; −log σ(x) is softplus(−x)."""
    if isinstance(value, float):
        return max(value, 0.0) + math.log1p(math.exp(-abs(value)))
    return value.logaddexp(value * 0)


def rewards(scale: float, policy: Sides, reference: Sides) -> Sides:
    """The implicit rewards: `scale` times the logarithm of the ratio to the reference.

    Source: arXiv:2305.18290, equation 5, without the term that depends on the prompt alone.
    """
    return Sides(
        scale * (policy.chosen - reference.chosen), scale * (policy.rejected - reference.rejected)
    )


def log_of_rest(value: Number) -> Number:
    """log(1 − e^x) of negative numbers; of 0, which rounding can give, that of −1e-7."""
    return (-((value - 1e-7).expm1())).log()


def wrong_rewards(facts: Facts, pairs: int) -> Iterator[str]:
    """What of the four facts cannot be, whatever the formula: see `Objective.wrong_facts`."""
    margin = number(facts["margin"])
    difference = number(facts["chosen_reward"]) - number(facts["rejected_reward"])
    if abs(margin - difference) > _ROUNDING:
        yield f"the margin {margin} is not the difference of the rewards, {difference}"
    preferred = facts["preferred"]
    if preferred > pairs:
        yield f"{preferred} of {pairs} pairs are preferred"
    elif (preferred == 0 and margin > 0) or (preferred == pairs and margin < 0):
        yield f"{preferred} of {pairs} pairs are preferred at a mean margin of {margin}"


def wrong_loss(facts: Facts, step: Step, least: Callable[[float], float]) -> Iterator[str]:
    """A mean of a convex function is not below the function of the mean (Jensen's inequality), and
    that of one pair is not above it.

    Args:
        facts: with the mean margin.
        step: with the loss as the row states it.
        least: the loss of one pair by its margin, a convex function.
    """
    margin, loss = float(number(facts["margin"])), float(number(step.loss))
    bound, rounding = least(margin), abs(least(margin + 1e-6) - least(margin - 1e-6))
    if loss < bound - rounding - 1e-6 - 1e-5 * abs(bound):
        yield f"no pairs with a mean margin of {margin:.6f} have a mean loss below {bound:.6f}"
    if step.pairs == 1 and loss > bound + rounding + slack(bound):
        yield f"one pair with a margin of {margin:.6f} has no loss above {bound:.6f}"


def wrong_first_loss(step: Step, losses: Sequence[float]) -> Iterator[str]:
    """Before anything is learned every pair has the loss of two equal answers.

    Args:
        step: says whether it is the first.
        losses: of a pair whose rewards are as far from 0 as rounding can give, in either direction.
    """
    if not step.first:
        return
    loss, low, high = float(number(step.loss)), min(losses), max(losses)
    if not low - slack(low) <= loss <= high + slack(high):
        yield f"a loss of {loss:.6f} before anything was learned: {low:.6f} to {high:.6f}"


def slack(loss: float) -> float:
    """By how much a stated loss may differ from the one that follows."""
    return 1e-3 * (1 + abs(loss))  # far more than float32 gives, and of no use to anybody


def wrong_start(facts: Facts, step: Step, *, slope: float, mean: bool) -> Iterator[str]:
    """Before anything is learned the policy is the reference, so that every reward is 0.

    Args:
        facts: of the step.
        step: says whether it is the first.
        slope: what a unit of log-probability is worth as a reward.
        mean: log-probabilities are means over tokens, not sums.
    """
    if not step.first:
        return
    largest = start_noise(step, slope=slope, mean=mean)
    for name in ("chosen_reward", "rejected_reward"):
        if abs(number(facts[name])) > largest:
            yield f"{name} is {facts[name]} before anything was learned: at most {largest:.6f}"


def start_noise(step: Step, *, slope: float, mean: bool) -> float:
    """What rounding can make of a mean reward before anything is learned: as `wrong_start`."""
    tokens = 1 if mean else max(1.0, step.labels / step.pairs)
    return slope * _NOISE.get(step.precision, _NOISE["bfloat16"]) * tokens


def last_segment(steps: Sequence[TraceRowStep]) -> dict[str, object]:
    """What the receipt says of the last segment: its pairs, and how they were told apart."""
    pairs = preferred = 0
    margins = Decimal(0)
    for step in steps:
        facts: Facts = step.get("facts", {})
        if not facts:
            continue  # V08 says that they are missing
        own = len(step["positions"])
        pairs += own
        preferred += facts["preferred"]
        margins += number(facts["margin"]) * own
    return {
        "margin": canonical.decimal(margins / max(pairs, 1)),
        "pairs": pairs,
        "preferred": preferred,
    }


def number(text: str) -> Decimal:
    """A stated number."""
    return canonical.parse_decimal(text, where="facts")


class Pairs:
    """What the objectives over pairs say alike; what differs stands in the file of each."""

    __slots__ = ()

    PAIRED: ClassVar[bool] = True
    MEAN: ClassVar[bool] = False
    UNRELATED: ClassVar[bool] = False
    FACTS: ClassVar[tuple[str, ...]] = FACTS

    @property
    def corrected_weight(self) -> float:
        """1: every token counts the same."""
        return 1.0

    def receipt(self, last: Sequence[TraceRowStep]) -> dict[str, object]:
        """The settings, and how the last segment's pairs were told apart."""
        return {**to_document(self), "last_segment": last_segment(last)}


class ByMargin(Pairs, ABC):
    """An objective whose loss is a convex function of the margin between two rewards.

    A reward is `beta` times the logarithm of the ratio to the reference.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        beta: str

    @abstractmethod
    def loss(self, margin: Number) -> Number:
        """The loss of a pair."""

    def terms(self, policy: Sides, reference: Sides, point: float = 0.0) -> Terms:
        """The rewards of both answers, and the loss of their margin."""
        both = rewards(float(self.beta), policy, reference)
        return Terms(losses=self.loss(both.chosen - both.rejected), rewards=both)

    def wrong_facts(self, facts: Facts, step: Step) -> Iterator[str]:
        """See `Objective.wrong_facts`."""
        beta = float(self.beta)
        yield from wrong_rewards(facts, step.pairs)
        yield from wrong_loss(facts, step, self.loss)
        yield from wrong_start(facts, step, slope=beta, mean=self.MEAN)
        apart = FROM_THE_MEAN * start_noise(step, slope=beta, mean=self.MEAN)
        yield from wrong_first_loss(step, [self.loss(-apart), self.loss(0.0), self.loss(apart)])
