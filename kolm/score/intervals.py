"""95 % intervals of a mean score: Wilson for binary scores, a clustered bootstrap for graded ones.

And the exact binomial distribution, for an auditor's own re-run of some cases.

Sources: Wilson 1927 (doi:10.1080/01621459.1927.10502953); percentile bootstrap over clusters, Field
and Welsh 2007 (doi:10.1111/j.1467-9868.2007.00593.x). Questions on one image are not independent,
so graded scores are drawn again image by image. docs/format/evaluation.md, E5.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from math import comb
from typing import NamedTuple

from kolm import digest
from kolm.records.evaluation import Interval
from kolm.score.rounding import DECIMALS, MILLION, millionths, written

LEVEL = "0.95"
Z = Decimal("1.959963984540054")  # the normal quantile of 0.975
RESAMPLES = 1000
_ONE_SIDED = Decimal("0.05")
_LOW, _HIGH = 24, 974  # the 25th and 975th of 1,000 sorted estimates
BOOTSTRAP_SEED = digest.of_bytes(b"kolm-bootstrap-v1")


class Cluster(NamedTuple):
    """The scores of the cases that share images: their sum in millionths, and how many they are."""

    total_millionths: int
    cases: int


def wilson(right: int, cases: int) -> Interval:
    """Wilson's score interval of `right` successes in `cases` trials.

    (2k + z² ∓ z·√(z² + 4k(n − k)/n)) / (2(n + z²)), in decimals of 28 digits, kept within [0, 1].
    """
    if not 0 <= right <= cases or cases < 1:
        raise ValueError(f"{right} of {cases} is no proportion")
    with localcontext(DECIMALS):
        square = Z * Z
        centre = 2 * right + square
        reach = Z * (square + Decimal(4 * right * (cases - right)) / cases).sqrt()
        scale = 2 * (cases + square)
        low, high = (centre - reach) / scale, (centre + reach) / scale
    return _interval("wilson", _bounded(low), _bounded(high))


def binomial_lower_bound(right: int, cases: int) -> str:
    """The least accuracy that `right` of `cases` drawn at random leave believable at 95 %.

    Clopper and Pearson's exact one-sided bound (1934, doi:10.1093/biomet/26.4.404): the largest p,
    in millionths, under which `right` or more come up with a probability of at most 0.05.
    """
    if not 0 <= right <= cases or cases < 1:
        raise ValueError(f"{right} of {cases} is no proportion")
    low, high = 0, MILLION
    while low < high:
        middle = (low + high + 1) // 2
        chance = binomial_tail(right, cases, Decimal(middle).scaleb(-6))
        low, high = (middle, high) if chance <= _ONE_SIDED else (low, middle - 1)
    return written(low)


def binomial_tail(least: int, trials: int, p: Decimal) -> Decimal:
    """P(X ≥ least) for X of the binomial distribution, in decimals of 28 digits."""
    with localcontext(DECIMALS):
        if least == 0 or p == 1:
            return Decimal(1)
        if p == 0:
            return Decimal(0)
        term = comb(trials, least) * p**least * (1 - p) ** (trials - least)
        total, odds = term, p / (1 - p)
        for drawn in range(least, trials):
            term = term * (trials - drawn) / (drawn + 1) * odds
            total += term
        return total


def bootstrap(clusters: Sequence[Cluster]) -> Interval:
    """The percentile interval of the mean over 1,000 redrawings of as many clusters.

    The numbers come from `digest.Stream` with a fixed seed (docs/format/randomness.md), one `below`
    a draw, so a second implementation agrees. The order of `clusters` matters; callers sort them by
    name. The interval is widened to hold the mean itself where the percentiles would not.
    """
    count = len(clusters)
    stream = digest.Stream(BOOTSTRAP_SEED)
    totals = [cluster.total_millionths for cluster in clusters]
    sizes = [cluster.cases for cluster in clusters]
    means = sorted(_redrawn_mean(totals, sizes, stream, count) for _ in range(RESAMPLES))
    whole = millionths(Fraction(sum(totals), sum(sizes) * MILLION))
    return _interval("bootstrap", min(means[_LOW], whole), max(means[_HIGH], whole))


def _redrawn_mean(
    totals: Sequence[int], sizes: Sequence[int], stream: digest.Stream, count: int
) -> int:
    total = size = 0
    for _ in range(count):
        drawn = stream.below(count)
        total += totals[drawn]
        size += sizes[drawn]
    return millionths(Fraction(total, size * MILLION))


def _bounded(value: Decimal) -> int:
    return min(max(round(value.scaleb(6)), 0), MILLION)


def _interval(method: str, low: int, high: int) -> Interval:
    return Interval(method=method, level=LEVEL, low=written(low), high=written(high))
