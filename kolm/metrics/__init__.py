"""Metrics: one file each, a pure function from an answer and its reference to a score.

Stands under scoring, which evaluation and verification share. A new metric is one file here, one
line in the table below, and its forms in schemas/metric.schema.json, from which specs, locks,
evaluations and policies take its name and options.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from fractions import Fraction
from typing import Any, Final

from kolm import canonical
from kolm.errors import Unreadable
from kolm.metrics.metric import Metric
from kolm.variants import Variants

__all__ = ["METRICS", "Metric", "metric_of"]

METRICS: Variants[type[Any]] = Variants(
    __name__,
    {
        "anls": "Anls",
        "choice": "Choice",
        "cider_d": "CiderD",
        "contains": "Contains",
        "exact": "Exact",
        "iou": "Iou",
        "json_f1": "JsonF1",
        "pope": "Pope",
        "regex": "Regex",
        "relaxed": "Relaxed",
        "rouge_l": "RougeL",
        "vqa": "Vqa",
    },
)

# How an option is read from a document, by the type of its field.
_READ: Final[dict[str, Callable[[Any, str], object]]] = {
    "Fraction": lambda text, where: Fraction(canonical.parse_decimal(text, where=where)),
    "str": lambda text, where: str(text),
    "tuple[str, ...]": lambda texts, where: tuple(texts),
}


def metric_of(stated: Mapping[str, object]) -> Metric:
    """The metric that a document names, with its options.

    Args:
        stated: a value that fits schemas/metric.schema.json.

    Raises:
        Unreadable: ``E_METRIC_UNKNOWN``.
        Refused: an option that is no decimal string, or ``E_METRIC_PATTERN``.
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
        option.name: _READ[str(option.type)](stated[option.name], f"metric {option.name}")
        for option in fields(build)
    }
    metric: Metric = build(**options)
    return metric
