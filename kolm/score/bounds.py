"""What an auditor's own re-run of some cases says of the true accuracy: one-sided 95 % bounds.

Sources: Clopper and Pearson 1934 (doi:10.1093/biomet/26.4.404); Hoeffding 1963
(doi:10.1080/01621459.1963.10500830).
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from math import comb

from kolm.score.rounding import DECIMALS, MILLION, written

_ONE_SIDED = Decimal("0.05")


def binomial_lower_bound(right: int, cases: int) -> str:
    """The least accuracy that `right` of `cases` drawn at random leave believable at 95 %.

    Clopper and Pearson's exact one-sided bound, for scores of 0 and 1: the largest p, in
    millionths, under which `right` or more come up with a probability of at most 0.05.
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


def hoeffding_lower_bound(points_millionths: int, cases: int) -> str:
    """The least mean score that so many points in `cases` drawn at random leave believable at 95 %.

    For scores anywhere between 0 and 1, whatever their distribution, drawn with or without putting
    back (theorems 1 and 4): the largest m, in millionths, below the mean t found here, for which
    ((m/t)^t · ((1 − m)/(1 − t))^(1 − t))^n is at most 0.05.
    """
    if not 0 <= points_millionths <= cases * MILLION or cases < 1:
        raise ValueError(f"{points_millionths} millionths of {cases} is no proportion")
    with localcontext(DECIMALS):
        mean, least = Decimal(points_millionths) / MILLION / cases, -_ONE_SIDED.ln() / cases
        low, high = 0, int(mean.scaleb(6))
        while low < high:
            middle = (low + high + 1) // 2
            apart = _divergence(mean, Decimal(middle).scaleb(-6))
            low, high = (middle, high) if apart >= least else (low, middle - 1)
    return written(low)


def _divergence(mean: Decimal, other: Decimal) -> Decimal:
    """Kullback and Leibler's, of a coin of `mean` from one of `other`, which is above 0."""
    rest = 1 - mean
    return mean * (mean / other).ln() + (rest * (rest / (1 - other)).ln() if rest else 0)
