"""Preferences without a model: numbers that formulas are over, and what a step would state."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from kolm import canonical
from kolm.objectives import Objective, Sides

Row = dict[str, Any]


class Numbers:
    """Plain floats, one a pair, with what the formulas of `kolm.objectives` ask for."""

    def __init__(self, *values: float) -> None:
        self.values = values

    def _with(self, other: Any, join: Callable[[float, float], float]) -> Numbers:
        beside = other.values if isinstance(other, Numbers) else [other] * len(self.values)
        return Numbers(*(join(a, b) for a, b in zip(self.values, beside, strict=True)))

    def __add__(self, other: Any) -> Numbers:
        return self._with(other, lambda a, b: a + b)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Numbers:
        return self._with(other, lambda a, b: a - b)

    def __rsub__(self, other: Any) -> Numbers:
        return self._with(other, lambda a, b: b - a)

    def __mul__(self, other: Any) -> Numbers:
        return self._with(other, lambda a, b: a * b)

    __rmul__ = __mul__

    def __neg__(self) -> Numbers:
        return self * -1

    def logaddexp(self, other: Any) -> Numbers:
        def join(a: float, b: float) -> float:
            return max(a, b) + math.log(math.exp(a - max(a, b)) + math.exp(b - max(a, b)))

        return self._with(other, join)

    def exp(self) -> Numbers:
        return Numbers(*map(math.exp, self.values))

    def expm1(self) -> Numbers:
        return Numbers(*map(math.expm1, self.values))

    def log(self) -> Numbers:
        return Numbers(*map(math.log, self.values))

    @property
    def mean(self) -> float:
        return sum(self.values) / len(self.values)


def stated(objective: Objective, step: int, pairs: int) -> Row:
    """Loss and facts of a step that moved its pairs apart by as much as it is late."""
    moved = 0.5 * (step - 1)
    policy = Sides(Numbers(*[-2.0 + moved / 2] * pairs), Numbers(*[-2.0 - moved / 2] * pairs))
    reference = Sides(Numbers(*[-2.0] * pairs), Numbers(*[-2.0] * pairs))
    terms = objective.terms(policy, reference)
    chosen, rejected = terms.rewards.chosen, terms.rewards.rejected
    facts: Row = {
        "chosen_reward": canonical.decimal(chosen.mean),
        "margin": canonical.decimal((chosen - rejected).mean),
        "preferred": sum(a > b for a, b in zip(chosen.values, rejected.values, strict=True)),
        "rejected_reward": canonical.decimal(rejected.mean),
    }
    more = {name: canonical.decimal(each.mean) for name, each in terms.more.items()}
    return {"loss": canonical.decimal(terms.losses.mean), "facts": facts | more}
