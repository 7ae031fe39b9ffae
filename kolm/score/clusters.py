"""Questions on one picture go together: the same mean with an interval that knows it.

Sources: Miller 2024 (arXiv:2411.00640), section 2.2, for why, and for the variance between clusters
(Liang and Zeger 1986, doi:10.1093/biomet/73.1.13); Dean and Pagano 2015 (doi:10.1093/jssam/smv024)
for Wilson's interval with as many cases as the design is worth; Kish 1965 (Survey Sampling, section
5.6 and 11.7) for clusters of unequal sizes. docs/format/evaluation.md, E13, has the formula.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from kolm.score.intervals import LEVEL, Z, wilson_bounds
from kolm.score.rounding import DECIMALS, MILLION, millionths, written

if TYPE_CHECKING:
    from kolm.records.documents import EvaluationClustered, EvaluationClusteredMean
    from kolm.score.evaluation import Run

METHOD: Final = "wilson-clustered"


def cluster(pictures: Iterable[Sequence[str]]) -> list[int]:
    """For each case the number of its cluster: cases that a chain of shared pictures connects.

    Clusters are numbered in the order of their first cases; a case without a picture is its own.
    """
    parent: list[int] = []
    first: dict[str, int] = {}  # by picture: the first case that shows it
    for case, shown in enumerate(pictures):
        parent.append(case)
        for picture in shown:
            one, other = _root(parent, first.setdefault(picture, case)), _root(parent, case)
            parent[max(one, other)] = min(one, other)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(_root(parent, case), len(numbers)) for case in range(len(parent))]


def _root(parent: list[int], case: int) -> int:
    while parent[case] != case:
        parent[case] = case = parent[parent[case]]
    return case


def measure(
    scores_millionths: Mapping[Run, Sequence[int]], pictures: Iterable[Sequence[str]]
) -> EvaluationClustered:
    """The interval of each run's mean, when cases that share pictures are drawn together."""
    clusters = cluster(pictures)
    sizes = Counter(clusters)
    means = {run: _mean(own, clusters, sizes) for run, own in scores_millionths.items() if own}
    return {
        "method": METHOD,
        "level": LEVEL,
        "clusters": len(sizes),
        "largest": max(sizes.values()),
        "adapter": means["adapter"],
        "base": means["base"],
        "blind": means.get("blind"),
    }


def _mean(
    scores: Sequence[int], clusters: Sequence[int], sizes: Mapping[int, int]
) -> EvaluationClusteredMean:
    cases, points = len(scores), Fraction(sum(scores), MILLION)
    effect = design_effect(scores, clusters, sizes)
    with localcontext(DECIMALS):
        worth = Decimal((cases / effect).numerator) / (cases / effect).denominator
        mean = Decimal(points.numerator) / points.denominator / cases
        low, high = wilson_bounds(min(mean * worth, worth), worth)
    return {"design_effect": written(millionths(effect)), "low": low, "high": high}


def design_effect(
    scores: Sequence[int], clusters: Sequence[int], sizes: Mapping[int, int]
) -> Fraction:
    """How many of the cases are worth one that was drawn alone: 1 to their number.

    With n cases, m their mean, and of each cluster its size a and its points t: the variance
    between clusters c/(c − 1) · Σ (t − a·m)² / n², by m(1 − m)/n, where c = n² / Σ a² clusters of
    one size are worth as much; times (1 + (z² + 1) / 4(c − 1))², which makes of z the quantile of
    Student's law (Abramowitz and Stegun 1964, 26.7.5). Scores that are all 0 or all 1 tell nothing
    of how alike cases are; then clusters count as one case each.
    """
    cases, squares = len(scores), sum(size * size for size in sizes.values())
    points: Counter[int] = Counter()
    for score, number in zip(scores, clusters, strict=True):
        points[number] += score
    total = points.total()
    if total in (0, cases * MILLION):
        return Fraction(squares, cases)
    if cases * cases == squares:  # one cluster
        return Fraction(cases)
    apart = sum((cases * points[number] - size * total) ** 2 for number, size in sizes.items())
    # In millionths `apart` is 10¹²·n²·Σ (t − a·m)², and what divides it 10¹²·n³·m(1 − m).
    effect = Fraction(apart, cases * total * (cases * MILLION - total))
    freedom = Fraction(cases * cases - squares, squares)  # c − 1
    effect *= 1 + 1 / freedom  # c / (c − 1)
    effect *= (1 + (Fraction(Z) ** 2 + 1) / (4 * freedom)) ** 2
    return min(max(effect, Fraction(1)), Fraction(cases))
