"""Hard floors: each a demanded value against an observed one, decided on what is written.

A composite ranks, floors decide: docs/concepts/kscore.md says why. docs/format/evaluation.md, E9.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from kolm import canonical
from kolm.records.evaluation import Accuracy, Floor, Majority, Paired, Slice


def check_floors(
    demands: Mapping[str, Any],
    *,
    adapter: Accuracy,
    blind: Accuracy,
    majority: Majority,
    paired: Paired,
    slices: Iterable[Slice],
) -> tuple[Floor, ...]:
    """Apply a lock's ``evaluation.floors`` to the measured values, in a fixed order.

    A floor that the lock switches off with null is still observed, so that a buyer can hold it
    against a demand of his own. The whole set counts as a slice, so that `worst_slice` means
    something for small sets too. The floor on p is a maximum, and only passes when the adapter
    wins more cases than the base.

    Raises:
        Refused: a demand that is not a canonical decimal string.
    """
    minimum_cases = demands["worst_slice_minimum_cases"]
    means = [part.accuracy for part in slices if part.cases >= minimum_cases]
    mean = Decimal(adapter.accuracy)
    worst = min(Decimal(value) for value in (*means, adapter.accuracy))
    wins = paired.adapter_only > paired.base_only
    demanded_p = _demand(demands, "better_than_base_p")
    return (
        _at_least("accuracy_lower_bound", demands, Decimal(adapter.interval.low)),
        _at_least("worst_slice", demands, worst),
        Floor(
            name="better_than_base_p",
            demanded=_written(demanded_p),
            observed=paired.p,
            passed=None if demanded_p is None else Decimal(paired.p) < demanded_p and wins,
        ),
        _at_least("above_blind", demands, mean - Decimal(blind.accuracy)),
        _at_least("above_majority", demands, mean - Decimal(majority.accuracy)),
    )


def all_passed(floors: Iterable[Floor]) -> bool:
    """Whether no floor that is demanded was missed."""
    return all(floor.passed is not False for floor in floors)


def _demand(demands: Mapping[str, Any], name: str) -> Decimal | None:
    """The demanded value, or None for a floor that is switched off."""
    if demands[name] is None:
        return None
    return canonical.parse_decimal(demands[name], where=f"evaluation.floors.{name}")


def _written(demanded: Decimal | None) -> str | None:
    return None if demanded is None else canonical.decimal(demanded, None)


def _at_least(name: str, demands: Mapping[str, Any], observed: Decimal) -> Floor:
    demanded = _demand(demands, name)
    return Floor(
        name=name,
        demanded=_written(demanded),
        observed=canonical.decimal(observed, None),
        passed=None if demanded is None else observed >= demanded,
    )
