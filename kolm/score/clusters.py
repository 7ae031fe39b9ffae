"""Questions on one picture go together: the same mean with an interval that knows it.

Sources: Miller 2024 (arXiv:2411.00640), section 2.2, for why; Dean and Pagano 2015
(doi:10.1093/jssam/smv024) and Franco et al. 2019 (PMC6690503) for Wilson's interval with as many
cases as the design is worth; Saha, Miller and Wang 2016 (doi:10.1515/ijb-2015-0024) for its design
effect from an analysis of variance. docs/format/evaluation.md, E14, has the formula.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, MutableSequence, Sequence
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
            one, other = root(parent, first.setdefault(picture, case)), root(parent, case)
            parent[max(one, other)] = min(one, other)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(parent, case), len(numbers)) for case in range(len(parent))]


def root(parent: MutableSequence[int], place: int) -> int:
    """The place that stands for all that are joined with one, whose way there is made shorter."""
    while parent[place] != place:
        parent[place] = place = parent[parent[place]]
    return place


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

    With n cases, m their mean, v their variance, w that within clusters, and S = Σ a² / n, so that
    c = n/S clusters of one size are worth as much: the mean's variance by an analysis of variance
    (Searle, Casella and McCulloch 1992), c/(c − 1) · (w + S·(v − w)) / n, by m(1 − m)/n; times
    (1 + (z² + 1) / 4(c − 1))², which makes of z the quantile of Student's law (Abramowitz and
    Stegun 1964, 26.7.5). All 0 or all 1 does not tell how alike cases are: clusters count once.
    """
    cases, total = len(scores), sum(scores)
    size = Fraction(sum(a * a for a in sizes.values()), cases)
    if total in (0, cases * MILLION) or len(sizes) == 1:
        return size
    points: Counter[int] = Counter()
    for score, number in zip(scores, clusters, strict=True):
        points[number] += score
    squares = Fraction(sum(score * score for score in scores))
    apart = squares - sum(Fraction(points[number] ** 2, a) for number, a in sizes.items())
    within = apart / max(cases - len(sizes), 1)  # 0 where each case is its own
    mean = Fraction(total, cases)
    variance = squares / cases - mean**2
    freedom = cases / size - 1  # c − 1
    effect = (within + size * (variance - within)) / (mean * (MILLION - mean))
    effect *= (1 + 1 / freedom) * (1 + (Fraction(Z) ** 2 + 1) / (4 * freedom)) ** 2
    return min(max(effect, Fraction(1)), Fraction(cases))
