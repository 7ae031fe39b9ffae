"""Wilson against published values; the clustered bootstrap against its own definition."""

import hashlib
import itertools
import struct
from decimal import Decimal
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm.score.intervals import Cluster, binomial_lower_bound, bootstrap, wilson


@pytest.mark.parametrize(
    ("right", "cases", "low", "high"),
    [
        # Newcombe 1998 (Statistics in Medicine 17:857), table I, method 3
        (81, 263, "0.2553", "0.3662"),
        (15, 148, "0.0624", "0.1605"),
        (0, 20, "0.0000", "0.1611"),
        (1, 29, "0.0061", "0.1718"),
    ],
)
def test_wilson_reproduces_newcombes_table(right: int, cases: int, low: str, high: str) -> None:
    interval = wilson(right, cases)
    assert round(Decimal(interval.low), 4) == Decimal(low)
    assert round(Decimal(interval.high), 4) == Decimal(high)


def test_wilson_at_the_ends() -> None:
    assert wilson(0, 1).low == "0"
    assert wilson(1, 1).high == "1"
    assert wilson(9673, 9673).high == "1"
    assert wilson(9673, 9673).low == "0.999603"


@given(st.integers(1, 20000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_estimate_within_bounds_and_mirrors(pair: tuple[int, int]) -> None:
    right, cases = pair
    interval = wilson(right, cases)
    low, high = Decimal(interval.low), Decimal(interval.high)
    assert 0 <= low <= round(Decimal(right) / cases, 6) <= high <= 1
    mirrored = wilson(cases - right, cases)
    assert low == 1 - Decimal(mirrored.high)


@given(st.integers(1, 500), st.integers(0, 499))
def test_wilson_rises_with_every_right_answer(cases: int, right: int) -> None:
    if right >= cases:
        return
    here, above = wilson(right, cases), wilson(right + 1, cases)
    assert Decimal(here.low) < Decimal(above.low)
    assert Decimal(here.high) <= Decimal(above.high)


@pytest.mark.parametrize(("right", "cases"), [(-1, 3), (4, 3), (0, 0)])
def test_what_is_no_proportion_is_refused(right: int, cases: int) -> None:
    with pytest.raises(ValueError, match="proportion"):
        wilson(right, cases)


def _bootstrap_again(clusters: list[Cluster]) -> tuple[float, float]:
    """A second implementation, from the words of docs/format/randomness.md and evaluation.md."""
    seed = hashlib.sha256(b"kolm-bootstrap-v1").digest()
    words = iter(
        word
        for block in itertools.count()
        for word in struct.unpack("<8I", hashlib.sha256(seed + struct.pack("<Q", block)).digest())
    )
    count = len(clusters)
    means = []
    for _ in range(1000):
        drawn = []
        while len(drawn) < count:
            word = next(words)
            if word < 2**32 // count * count:
                drawn.append(clusters[word % count])
        total = sum(c.total_millionths for c in drawn) / 1e6
        means.append(total / sum(c.cases for c in drawn))
    means.sort()
    return means[24], means[974]


@pytest.mark.parametrize("count", [1, 3, 20, 101])
def test_bootstrap_agrees_with_a_second_implementation(count: int) -> None:
    clusters = [
        Cluster(total_millionths=i * 7919 % 1_000_000, cases=1 + i % 3) for i in range(count)
    ]
    interval = bootstrap(clusters)
    low, high = _bootstrap_again(clusters)
    assert abs(float(interval.low) - low) < 1e-6
    assert abs(float(interval.high) - high) < 1e-6


def test_bootstrap_of_equal_clusters_is_a_point() -> None:
    interval = bootstrap([Cluster(total_millionths=1_500_000, cases=3)] * 7)
    assert (interval.low, interval.high) == ("0.5", "0.5")


def test_bootstrap_is_wider_when_scores_are_alike_within_an_image() -> None:
    alone = [Cluster(total_millionths=(i % 2) * 1_000_000, cases=1) for i in range(60)]
    grouped = [Cluster(total_millionths=(i % 2) * 10_000_000, cases=10) for i in range(6)]
    narrow, wide = bootstrap(alone), bootstrap(grouped)
    assert Decimal(wide.high) - Decimal(wide.low) > Decimal(narrow.high) - Decimal(narrow.low)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 1_000_000)), min_size=1, max_size=6))
def test_bootstrap_holds_the_estimate(parts: list[tuple[int, int]]) -> None:
    clusters = [Cluster(total_millionths=cases * mean, cases=cases) for cases, mean in parts]
    interval = bootstrap(clusters)
    total = sum(cluster.total_millionths for cluster in clusters)
    estimate = round(Decimal(total) / sum(c.cases for c in clusters) / 1_000_000, 6)
    assert 0 <= Decimal(interval.low) <= estimate <= Decimal(interval.high) <= 1


@pytest.mark.parametrize(("right", "cases"), [(0, 7), (1, 1), (5, 7), (45, 50), (50, 50), (1, 60)])
def test_the_exact_bound_is_the_last_one_that_chance_explains(right: int, cases: int) -> None:
    """Against the sum of the distribution in exact fractions."""

    def tail(p: Fraction) -> Fraction:
        return sum(
            (comb(cases, n) * p**n * (1 - p) ** (cases - n) for n in range(right, cases + 1)),
            Fraction(0),
        )

    bound = Fraction(binomial_lower_bound(right, cases))
    one = Fraction(1, 1_000_000)
    if right == 0:
        assert bound == 0
        return
    assert tail(bound) <= Fraction(1, 20) < tail(bound + one)


def test_the_exact_bound_of_a_published_table() -> None:
    """All of 59 right: the classical sample that shows 95 % with 95 % confidence."""
    assert Fraction("0.95") < Fraction(binomial_lower_bound(59, 59)) < Fraction("0.951")
    assert Fraction(binomial_lower_bound(58, 58)) < Fraction("0.95")


@pytest.mark.parametrize(("right", "cases"), [(-1, 3), (4, 3), (0, 0)])
def test_no_proportion_has_no_exact_bound(right: int, cases: int) -> None:
    with pytest.raises(ValueError, match="proportion"):
        binomial_lower_bound(right, cases)
