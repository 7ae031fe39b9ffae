from fractions import Fraction

import pytest

from kolm.errors import Refused, Unreadable
from kolm.metrics import METRICS, metric_of
from kolm.metrics.relaxed import Relaxed


@pytest.mark.parametrize("kind", sorted(METRICS))
def test_every_metric_stays_within_bounds_and_knows_its_name(kind: str) -> None:
    metric = metric_of({"kind": kind})
    assert metric.kind == kind
    for output in ("", "yes", "12", "12%", "\U0001f600", "x" * 5000):
        for reference in ("yes", "12", "0"):
            score = metric.score(output, reference)
            assert 0 <= score.value <= 1
            assert score.value in (0, 1) or not metric.binary
    assert metric.score("yes", "yes").value == 1
    assert metric.score("12", "12").value == 1


def test_an_unknown_metric_names_the_known_ones() -> None:
    with pytest.raises(Unreadable) as caught:
        metric_of({"kind": "bleu"})
    assert caught.value.code == "E_METRIC_UNKNOWN"
    assert "exact" in caught.value.expected


def test_relaxed_reads_its_tolerance() -> None:
    assert metric_of({"kind": "relaxed", "tolerance": "0.1"}) == Relaxed(Fraction(1, 10))
    assert metric_of({"kind": "relaxed"}) == Relaxed(Fraction(1, 20))
    with pytest.raises(Refused):
        metric_of({"kind": "relaxed", "tolerance": 0.1})
