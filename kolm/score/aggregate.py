"""Mean scores with their intervals, over all cases or over a slice.

Stands between single verdicts and the evaluation document. docs/format/evaluation.md, E4.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from kolm.score.intervals import wilson
from kolm.score.rounding import MILLION, ratio

if TYPE_CHECKING:
    from kolm.records.documents import EvaluationAccuracy


def summarise(scores_millionths: Sequence[int]) -> EvaluationAccuracy:
    """The mean of scores (millionths, one a case) and its interval."""
    total, cases = sum(scores_millionths), len(scores_millionths)
    return {
        "accuracy": ratio(total, cases * MILLION),
        "interval": wilson(Decimal(total).scaleb(-6), cases),
    }
