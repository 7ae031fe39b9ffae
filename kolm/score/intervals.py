"""Mean scores with their 95 % intervals, over all cases or over a slice.

Source: Wilson 1927 (doi:10.1080/01621459.1927.10502953). docs/format/evaluation.md, E4 and E5, says
why one interval serves every metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Final

from kolm.score.rounding import DECIMALS, MILLION, ratio, written

if TYPE_CHECKING:
    from kolm.records.documents import EvaluationAccuracy, EvaluationInterval


LEVEL: Final = "0.95"
Z = Decimal("1.959963984540054")  # the normal quantile of 0.975


def summarise(scores_millionths: Sequence[int]) -> EvaluationAccuracy:
    """The mean of scores (millionths, one a case) and its interval."""
    total, cases = sum(scores_millionths), len(scores_millionths)
    return {
        "accuracy": ratio(total, cases * MILLION),
        "interval": wilson(Decimal(total).scaleb(-6), cases),
    }


def wilson(points: Decimal | int, cases: int) -> EvaluationInterval:
    """Wilson's score interval of a mean: `points`, the sum of scores from 0 to 1, in `cases` cases.

    (2k + z² ∓ z·√(z² + 4k(n − k)/n)) / (2(n + z²)), in decimals of 28 digits, kept within [0, 1].
    """
    if not 0 <= points <= cases or cases < 1:
        raise ValueError(f"{points} of {cases} is no proportion")
    low, high = wilson_bounds(points, cases)
    return {"method": "wilson", "level": LEVEL, "low": low, "high": high}


def wilson_bounds(points: Decimal | int, cases: Decimal | int) -> tuple[str, str]:
    """The two ends as written; `cases` need not be whole."""
    with localcontext(DECIMALS):
        square = Z * Z
        centre = 2 * points + square
        reach = Z * (square + Decimal(4 * points * (cases - points)) / cases).sqrt()
        scale = 2 * (cases + square)
        low, high = (centre - reach) / scale, (centre + reach) / scale
    return written(_bounded(low)), written(_bounded(high))


def _bounded(value: Decimal) -> int:
    return min(max(round(value.scaleb(6)), 0), MILLION)
