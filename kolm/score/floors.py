"""Hard floors: each a demanded value against an observed one, decided on what is written.

A composite ranks, floors decide: docs/concepts/kscore.md says why. docs/format/evaluation.md, E9.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from kolm import canonical

if TYPE_CHECKING:
    from kolm.records.documents import (
        EvaluationAccuracy,
        EvaluationClustered,
        EvaluationFigure,
        EvaluationFloor,
        EvaluationFloorName,
        EvaluationMajority,
        EvaluationPaired,
        EvaluationSlice,
        LockEvaluationFloors,
    )
    from kolm.score.evaluation import Run

BASE_P: Final = "better_than_base_p"  # the one ceiling among the floors
F1: Final = "f1"  # the one that not every metric has
# Why nothing is observed of a floor.
ABSENT: Final = {"above_blind": "no blind run", F1: "the metric has none"}


def told(name: str, demanded: str | None) -> str:
    """A floor's demand for people: all but one are the least that is enough."""
    if demanded is None:
        return "nothing"
    return f"below {demanded}" if name == BASE_P else demanded


def check_floors(
    demands: LockEvaluationFloors,
    *,
    means: Mapping[Run, EvaluationAccuracy],
    clustered: EvaluationClustered,
    figures: Iterable[EvaluationFigure],
    majority: EvaluationMajority,
    paired: EvaluationPaired,
    slices: Iterable[EvaluationSlice],
) -> list[EvaluationFloor]:
    """Apply a lock's ``evaluation.floors`` to the measured values, in a fixed order.

    A floor that the lock switches off with null is still observed, so that a buyer can hold it
    against a demand of his own. The whole set counts as a slice, so that `worst_slice` means
    something for small sets too. Without a blind run nothing is observed of `above_blind`, nor of
    `f1` where the metric has none or nobody says yes; what demands it all the same is missed.

    Raises:
        Refused: a demand that is not a canonical decimal string.
    """
    minimum_cases = demands["worst_slice_minimum_cases"]
    large = [part["accuracy"] for part in slices if part["cases"] >= minimum_cases]
    adapter, base, blind = means["adapter"], means["base"], means.get("blind")
    mean = Decimal(adapter["accuracy"])
    worst = min(Decimal(value) for value in (*large, adapter["accuracy"]))
    f1 = next((figure["adapter"] for figure in figures if figure["name"] == F1), None)
    observed: dict[EvaluationFloorName, Decimal | None] = {
        "accuracy_lower_bound": Decimal(adapter["interval"]["low"]),
        "clustered_lower_bound": Decimal(clustered["adapter"]["low"]),
        "worst_slice": worst,
        BASE_P: Decimal(paired["p"]),
        "above_blind": None if blind is None else mean - Decimal(blind["accuracy"]),
        "above_majority": mean - Decimal(majority["accuracy"]),
        F1: None if f1 is None else Decimal(f1),
    }
    better = is_ahead(
        paired["adapter_only"], paired["base_only"], adapter["accuracy"], base["accuracy"]
    )
    return [_hold(name, demands[name], value, ahead=better) for name, value in observed.items()]


def is_ahead(adapter_only: int, base_only: int, adapter: str, base: str) -> bool:
    """Whether the adapter wins more cases than its base, and no fewer points.

    For scores of 0 and 1 the one implies the other; graded ones can win many cases by a hair.
    """
    return adapter_only > base_only and Decimal(adapter) >= Decimal(base)


def meets(name: str, demanded: Decimal, observed: Decimal, *, ahead: bool) -> bool:
    """Whether what was observed meets a floor, the publisher's or an auditor's.

    All are minima but the one on p, which only passes when the adapter is ahead (`is_ahead`): a
    small p of one that loses speaks for the base.
    """
    return observed < demanded and ahead if name == BASE_P else observed >= demanded


def all_passed(floors: Iterable[EvaluationFloor]) -> bool:
    """Whether no floor that is demanded was missed."""
    return all(floor["passed"] is not False for floor in floors)


def _hold(
    name: EvaluationFloorName, demand: str | None, observed: Decimal | None, *, ahead: bool
) -> EvaluationFloor:
    written = None if observed is None else canonical.decimal(observed, None)
    if demand is None:
        return {"name": name, "demanded": None, "observed": written, "passed": None}
    demanded = canonical.parse_decimal(demand, where=f"evaluation.floors.{name}")
    return {
        "name": name,
        "demanded": demand,
        "observed": written,
        "passed": observed is not None and meets(name, demanded, observed, ahead=ahead),
    }
