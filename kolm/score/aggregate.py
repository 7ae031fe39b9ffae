"""Mean scores with their intervals, over all cases or over a slice.

Stands between single verdicts and the evaluation document. docs/format/evaluation.md, E4.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from kolm.records.evaluation import Accuracy
from kolm.score.intervals import Cluster, bootstrap, wilson
from kolm.score.rounding import MILLION, ratio


def summarise(
    scores_millionths: Sequence[int], clusters: Sequence[str], *, binary: bool
) -> Accuracy:
    """The mean of scores (millionths, one a case) and its interval.

    Args:
        scores_millionths: one score a case.
        clusters: the cluster's name of each case, in the same order.
        binary: every score is 0 or 1, so Wilson's interval holds.
    """
    total, cases = sum(scores_millionths), len(scores_millionths)
    interval = (
        wilson(total // MILLION, cases)
        if binary
        else bootstrap(_cluster_sums(scores_millionths, clusters))
    )
    return Accuracy(accuracy=ratio(total, cases * MILLION), interval=interval)


def _cluster_sums(scores_millionths: Sequence[int], clusters: Sequence[str]) -> list[Cluster]:
    totals: dict[str, int] = defaultdict(int)
    sizes: dict[str, int] = defaultdict(int)
    for score, name in zip(scores_millionths, clusters, strict=True):
        totals[name] += score
        sizes[name] += 1
    return [Cluster(total_millionths=totals[name], cases=sizes[name]) for name in sorted(totals)]
