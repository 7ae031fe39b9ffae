"""Spec: which learning rate and how many steps work for whom; taken where a spec states none.

A rate follows from three things, each with its reason: the base gives one for LoRA and supervised
fine-tuning, the method and the objective multiply it. A further base or method is a line; an
objective's file has its own, which gives way to what was measured on a base. `kolm check` warns of
a rate that is far from what stands here; the lock says what was taken and why (L16 of
docs/format/lock.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final, NamedTuple

from kolm import canonical, methods
from kolm.objectives import DEFAULT, OBJECTIVES
from kolm.roles import Family

FAR: Final = 4  # times below the least or above the largest: far from what works


class Rates(NamedTuple):
    """Peak learning rates.

    Attributes:
        least: that still learns in a usual number of steps.
        rate: that is taken.
        largest: that still learns steadily.
    """

    least: Decimal
    rate: Decimal
    largest: Decimal

    def times(self, factor: Decimal) -> Rates:
        """All three, multiplied."""
        return Rates(self.least * factor, self.rate * factor, self.largest * factor)

    def is_far(self, rate: Decimal) -> bool:
        """Whether a rate is far from what works."""
        return not self.least / FAR <= rate <= self.largest * FAR


class Factor(NamedTuple):
    """By how much a method or an objective wants another rate, and why."""

    times: Decimal
    reason: str


class Advice(NamedTuple):
    """What is recommended.

    Attributes:
        adapter: for what the method trains.
        projector: for a projector that is trained in full, whatever the method.
        reason: in words.
        steps: optimiser steps that a training needs at least, however few its captures are.
    """

    adapter: Rates
    projector: Rates
    reason: str
    steps: int

    def projector_beside(self, adapter: Decimal) -> Decimal:
        """The projector's rate where the spec states none: half of the adapter's with LoRA.

        With another method it is as far from what is recommended as the adapter's.
        """
        return adapter * (self.projector.rate / self.adapter.rate) / 2


class Measured(NamedTuple):
    """What was measured on a base.

    Attributes:
        rates: with LoRA and supervised fine-tuning.
        others: what other methods and objectives multiply.
        reason: for them.
        pairs: times `others` for objectives that learn from pairs, whatever their sources say.
        steps: that a training needs at least.
    """

    rates: Rates
    others: Rates
    reason: str
    pairs: Decimal
    steps: int


BASES: Final[Mapping[str, Measured]] = MappingProxyType(
    {
        "kolm/nano-1": Measured(
            # 0.001, 0.002 and 0.004 gave 0.829, 0.866 and 0.519 on 216 validation captures of drawn
            # letters, 300 steps of 8: `bench.default_settings --choose letters`.
            Rates(Decimal("0.001"), Decimal("0.002"), Decimal("0.004")),
            Rates(Decimal("0.001"), Decimal("0.001"), Decimal("0.002")),
            "measured on kolm/nano-1, which is small and learns at larger rates",
            # DPO gave 0.537, 0.605 and 0.844 at 0.0001, 0.0003 and 0.001: accuracy on 147
            # validation captures of `bench.objectives`, 80 steps of 16 pairs.
            Decimal(1),
            # 100 steps of 8 gave 0.403 there, where 300 gave 0.866.
            300,
        ),
    }
)
# Each the best of three on the gauges of `kolm init` and kolm/nano-1, 100 steps of 16 captures:
# 0.003, 0.01 and 0.03 (for bottleneck 0.001 to 0.01), by accuracy on 180 validation captures; of
# p_tuning (0.001 to 0.03) and prompt (0.01 to 0.3) on 360, with the projector's own rate.
METHODS: Final[Mapping[str, Factor]] = MappingProxyType(
    {
        "bottleneck": Factor(Decimal(3), "measured; arXiv:1902.00751 tried 0.0003 and 0.003"),
        "ia3": Factor(Decimal(30), "measured; vectors that start at 1 move little (T-Few: 0.003)"),
        "lora": Factor(Decimal(1), ""),
        "p_tuning": Factor(Decimal(3), "measured, with an MLP and with an LSTM"),
        "prefix": Factor(Decimal(30), "measured; P-tuning v2 takes 0.005 to 0.01"),
        "prompt": Factor(Decimal(100), "measured; arXiv:2104.08691 takes 0.3"),
    }
)
_NO_LINE: Final = Factor(Decimal(1), "")  # what is not listed is taken to be like LoRA


def advise(base: str, family: Family, *, method: str, objective: str) -> Advice:
    """What is recommended for a base, a method and an objective.

    Args:
        base: its id in the lock.
        family: its role table.
        method: kind of the method.
        objective: kind of the objective.
    """
    measured = BASES.get(base)
    plain = (method, objective) == (methods.DEFAULT, DEFAULT)
    if measured is None:
        least, largest = family.learning_rates
        rates = Rates(least, min(max(_usual(DEFAULT), least), largest), largest)
        reason = f"usual for {family.model_type}"
    else:
        rates = measured.rates if plain else measured.others
        reason = measured.reason
    by_method = METHODS.get(method, _NO_LINE)
    by_objective = _factor_of(objective, measured)
    parts = [reason]
    for kind, factor in ((method, by_method), (objective, by_objective)):
        if factor.times != 1:
            parts.append(f"times {canonical.decimal(factor.times)} for {kind}: {factor.reason}")
    projector = rates.times(by_objective.times)
    steps = 1 if measured is None else measured.steps
    return Advice(projector.times(by_method.times), projector, "; ".join(parts), steps)


def _factor_of(objective: str, measured: Measured | None) -> Factor:
    """What was measured, else as much as the objective's own rate is of that for supervised
    fine-tuning.
    """
    known = OBJECTIVES.get(objective)
    if known is None:  # resolving the objective says so
        return _NO_LINE
    if known.PAIRED and measured is not None:
        return Factor(measured.pairs, measured.reason)
    share = _usual(objective) / _usual(DEFAULT)
    return Factor(share, "" if share == 1 else known.SOURCE)


def _usual(objective: str) -> Decimal:
    return Decimal(OBJECTIVES[objective].LEARNING_RATE)
