"""Metrics: one file each, a pure function from an answer and its reference to a score.

Stands under scoring, which evaluation and verification share. A new metric is one file here, one
line in the table below, and its forms in schemas/metric.schema.json, from which specs, locks,
evaluations and policies take its name and options.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from kolm import canonical
from kolm.errors import Unreadable
from kolm.metrics.anls import Anls
from kolm.metrics.contains import Contains
from kolm.metrics.exact import Exact
from kolm.metrics.metric import Metric, Score
from kolm.metrics.relaxed import Relaxed

__all__ = ["METRICS", "Metric", "Score", "metric_of"]

METRICS: dict[str, Callable[..., Metric]] = {
    Anls.kind: Anls,
    Contains.kind: Contains,
    Exact.kind: Exact,
    Relaxed.kind: Relaxed,
}


def metric_of(stated: Mapping[str, object]) -> Metric:
    """The metric that a document names, with its options.

    Args:
        stated: a value that fits schemas/metric.schema.json.

    Raises:
        Unreadable: ``E_METRIC_UNKNOWN``.
        Refused: an option that is no decimal string.
    """
    build = METRICS.get(str(stated["kind"]))
    if build is None:
        raise Unreadable(
            "E_METRIC_UNKNOWN",
            "this version of kolm does not know the metric",
            expected=", ".join(sorted(METRICS)),
            found=str(stated["kind"]),
        )
    options = {
        name: Fraction(canonical.parse_decimal(text, where=f"metric {name}"))
        for name, text in stated.items()
        if name != "kind"
    }
    return build(**options)
