"""Mean scores with their intervals, over all cases or over a slice.

Stands between single verdicts and the evaluation document. docs/format/evaluation.md, E4.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from kolm.records.evaluation import Accuracy
from kolm.score.intervals import wilson
from kolm.score.rounding import MILLION, ratio


def summarise(scores_millionths: Sequence[int]) -> Accuracy:
    """The mean of scores (millionths, one a case) and its interval."""
    total, cases = sum(scores_millionths), len(scores_millionths)
    return Accuracy(
        accuracy=ratio(total, cases * MILLION),
        interval=wilson(Decimal(total).scaleb(-6), cases),
    )
