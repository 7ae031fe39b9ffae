"""Score: how often the chosen answers of eval cases are preferred to the rejected ones.

From the log-probabilities that predictions.jsonl states case by case for the adapter and for the
base. docs/format/evaluation.md, E16. Source of the implicit reward: arXiv:2305.18290, section 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from kolm import canonical
from kolm.score.intervals import summarise
from kolm.score.rounding import MILLION

if TYPE_CHECKING:
    from kolm.records.documents import (
        EvaluationPreference,
        PredictionsRowLikelihoods,
        PredictionsRowPreference,
    )


def summarise_preferences(
    measured: Sequence[PredictionsRowPreference],
) -> EvaluationPreference | None:
    """What the likelihoods of rows come to; None where no row has any.

    `adapter` and `base` count the cases whose chosen answer is the more likely one; `implicit`
    those where the adapter moved the chosen answer up, against the base, by more than the rejected
    one, and `margin` is the mean of by how much.
    """
    if not measured:
        return None
    apart = {run: [_apart(each[run]) for each in measured] for run in ("adapter", "base")}
    moved = [one - other for one, other in zip(apart["adapter"], apart["base"], strict=True)]
    return {
        "cases": len(measured),
        "adapter": summarise(_points(apart["adapter"])),
        "base": summarise(_points(apart["base"])),
        "implicit": summarise(_points(moved)),
        "margin": canonical.decimal(sum(moved, Decimal(0)) / len(moved)),
    }


def _apart(stated: PredictionsRowLikelihoods) -> Decimal:
    chosen, rejected = (
        canonical.parse_decimal(stated[side], where="predictions.jsonl#/preference")
        for side in ("chosen", "rejected")
    )
    return chosen - rejected


def _points(values: Iterable[Decimal]) -> list[int]:
    return [MILLION * (value > 0) for value in values]
