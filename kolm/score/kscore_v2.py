"""The K-score's second formula, with axes for more inputs. Claims carry the first.

Rule K3 of docs/format/kscore.md.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, NamedTuple

from kolm.score.kscore import Composite, base_axes, clamp, combine
from kolm.score.rounding import DECIMALS

if TYPE_CHECKING:
    from kolm.records.documents import KscoreInputs

WEIGHTS_V2 = {
    "A": Decimal("0.30"),
    "S": Decimal("0.10"),
    "L": Decimal("0.10"),
    "C": Decimal("0.10"),
    "V": Decimal("0.10"),
    "R": Decimal("0.05"),
    "T": Decimal("0.05"),
    "F": Decimal("0.10"),
    "E": Decimal("0.05"),
    "Z": Decimal("0.05"),
}
_RATIO_FLOOR = Decimal("0.05")  # below it a quotient of accuracies says nothing: the axis is absent


class Extras(NamedTuple):
    """The further inputs of kscore/v2; one that was not measured is None, and so is its axis."""

    holdout_accuracy: Decimal | None = None
    teacher_holdout_accuracy: Decimal | None = None
    worst_slice_accuracy: Decimal | None = None
    joules_per_call: Decimal | None = None
    drift: Decimal | None = None


def kscore_v2(inputs: KscoreInputs, extras: Extras) -> Composite:
    """The formula with R, T, F, E and Z; weights are renormalised over the axes present."""
    with localcontext(DECIMALS):
        axes = base_axes(inputs)
        accuracy = axes["A"]
        further = {
            "R": _quotient(extras.holdout_accuracy, accuracy),
            "T": _quotient(extras.holdout_accuracy, extras.teacher_holdout_accuracy),
            "F": _quotient(extras.worst_slice_accuracy, accuracy),
            "E": _inverse(extras.joules_per_call, Decimal(100)),
            "Z": None if extras.drift is None else clamp(1 - extras.drift),
        }
        present = {name: value for name, value in further.items() if value is not None}
        return combine({**axes, **present}, WEIGHTS_V2)


def _quotient(value: Decimal | None, reference: Decimal | None) -> Decimal | None:
    if value is None or reference is None or reference < _RATIO_FLOOR:
        return None
    return clamp(value / reference)


def _inverse(value: Decimal | None, scale: Decimal) -> Decimal | None:
    return None if value is None else 1 / (1 + value / scale)
