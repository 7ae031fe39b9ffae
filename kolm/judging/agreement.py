"""Judging: how far a judge agrees with people: the share, and Cohen's kappa with its interval.

J. Cohen, "A Coefficient of Agreement for Nominal Scales" (1960, doi:10.1177/001316446002000104);
the standard error is that of J. Fleiss, J. Cohen and B. Everitt, "Large Sample Standard Errors of
Kappa and Weighted Kappa" (1969, doi:10.1037/h0028106), equation 13.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING

from kolm import canonical
from kolm.score.intervals import Z, wilson
from kolm.score.rounding import DECIMALS, ratio

if TYPE_CHECKING:
    from kolm.records.answers import CaptureJudgeAgreement, CaptureJudgePreferred

Pair = tuple[int, int]  # what the judge says, and what a person says


def agreement(pairs: Sequence[Pair]) -> CaptureJudgeAgreement:
    """How far two series of labels agree; at least one pair.

    Kappa is null where every label of both is the same: chance alone would agree as well.
    """
    same = sum(judge == person for judge, person in pairs)
    found = kappa(pairs)
    return {
        "cases": len(pairs),
        "agreement": ratio(same, len(pairs)),
        "interval": wilson(same, len(pairs)),
        "kappa": None if found is None else _written(found[0]),
        "kappa_low": None if found is None else _written(max(found[0] - found[1], Decimal(-1))),
        "kappa_high": None if found is None else _written(min(found[0] + found[1], Decimal(1))),
    }


def kappa(pairs: Sequence[Pair]) -> tuple[Decimal, Decimal] | None:
    """Cohen's kappa, and how far its 95 % interval reaches on either side.

    With p_ij the share of cases that the first calls i and the second j, p_i. and p_.j its sums,
    p_o the sum of p_ii and p_e that of p_i. p_.i: kappa is (p_o - p_e) / (1 - p_e), and its
    variance, times n (1 - p_e)^4, is

        sum p_ii [(1 - p_e) - (p_.i + p_i.)(1 - p_o)]^2
        + (1 - p_o)^2 sum_(i != j) p_ij (p_.i + p_j.)^2 - (p_o p_e - 2 p_e + p_o)^2

    None where p_e is 1.
    """
    count = len(pairs)
    joint = {pair: Fraction(n, count) for pair, n in Counter(pairs).items()}
    left = {i: Fraction(n, count) for i, n in Counter(i for i, _ in pairs).items()}
    right = {j: Fraction(n, count) for j, n in Counter(j for _, j in pairs).items()}
    observed = sum((share for (i, j), share in joint.items() if i == j), Fraction(0))
    expected = sum((left[i] * right.get(i, 0) for i in left), Fraction(0))
    if expected == 1:
        return None
    spread = -((observed * expected - 2 * expected + observed) ** 2)
    for (i, j), share in joint.items():
        if i == j:
            spread += share * ((1 - expected) - (right[i] + left[i]) * (1 - observed)) ** 2
        else:
            both = right.get(i, Fraction(0)) + left.get(j, Fraction(0))
            spread += (1 - observed) ** 2 * share * both**2
    variance = spread / (count * (1 - expected) ** 4)
    with localcontext(DECIMALS):
        root = (Decimal(variance.numerator) / Decimal(variance.denominator)).sqrt()
        value = (observed - expected) / (1 - expected)
        return Decimal(value.numerator) / Decimal(value.denominator), Z * root


def preferred(pairs: Sequence[Pair]) -> CaptureJudgePreferred:
    """How often a judge prefers the better answer of a pair; at least one pair.

    A tie is no agreement.

    Args:
        pairs: the judge's total of the better answer, and of the worse one.
    """
    right = sum(better > worse for better, worse in pairs)
    return {
        "pairs": len(pairs),
        "right": right,
        "ties": sum(better == worse for better, worse in pairs),
        "agreement": ratio(right, len(pairs)),
        "interval": wilson(right, len(pairs)),
    }


def _written(value: Decimal) -> str:
    return canonical.decimal(value)
