"""Metrics: one file each, a pure function from an answer and its reference to a score.

Stands under scoring, which evaluation and verification share. A new metric is one file here and
one line in the table below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from kolm import canonical
from kolm.errors import Unreadable
from kolm.metrics.exact import Exact
from kolm.metrics.metric import Metric, Score
from kolm.metrics.relaxed import CHARTQA_TOLERANCE, Relaxed

__all__ = ["METRICS", "Metric", "Score", "metric_of"]


def _relaxed(settings: Mapping[str, Any]) -> Metric:
    if "tolerance" not in settings:
        return Relaxed(CHARTQA_TOLERANCE)
    tolerance = canonical.parse_decimal(settings["tolerance"], where="metric tolerance")
    return Relaxed(Fraction(tolerance))


METRICS: dict[str, Callable[[Mapping[str, Any]], Metric]] = {
    "exact": lambda settings: Exact(),
    "relaxed": _relaxed,
}


def metric_of(settings: Mapping[str, Any]) -> Metric:
    """The metric that a lock's ``evaluation.metric`` names, with its settings.

    Raises:
        Unreadable: ``E_METRIC_UNKNOWN``.
        Refused: a tolerance that is not a decimal string.
    """
    kind = settings.get("kind")
    build = METRICS.get(kind) if isinstance(kind, str) else None
    if build is None:
        raise Unreadable(
            "E_METRIC_UNKNOWN",
            "this version of kolm does not know the metric",
            expected=", ".join(sorted(METRICS)),
            found=str(kind),
        )
    return build(settings)
