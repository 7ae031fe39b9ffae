"""Wilson against published values, the bounds of a re-run against their definitions."""

from decimal import Decimal
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm import digest
from kolm.score.bounds import binomial_lower_bound, hoeffding_lower_bound
from kolm.score.intervals import wilson


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
    assert round(Decimal(interval["low"]), 4) == Decimal(low)
    assert round(Decimal(interval["high"]), 4) == Decimal(high)


def test_wilson_at_the_ends() -> None:
    assert wilson(0, 1)["low"] == "0"
    assert wilson(1, 1)["high"] == "1"
    assert wilson(9673, 9673)["high"] == "1"
    assert wilson(9673, 9673)["low"] == "0.999603"


@given(st.integers(1, 20000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_estimate_within_bounds_and_mirrors(pair: tuple[int, int]) -> None:
    right, cases = pair
    interval = wilson(right, cases)
    low, high = Decimal(interval["low"]), Decimal(interval["high"])
    assert 0 <= low <= round(Decimal(right) / cases, 6) <= high <= 1
    mirrored = wilson(cases - right, cases)
    assert low == 1 - Decimal(mirrored["high"])


@given(st.integers(1, 500), st.integers(0, 499))
def test_wilson_rises_with_every_right_answer(cases: int, right: int) -> None:
    if right >= cases:
        return
    here, above = wilson(right, cases), wilson(right + 1, cases)
    assert Decimal(here["low"]) < Decimal(above["low"])
    assert Decimal(here["high"]) <= Decimal(above["high"])


@pytest.mark.parametrize(("right", "cases"), [(-1, 3), (4, 3), (0, 0)])
def test_what_is_no_proportion_is_refused(right: int, cases: int) -> None:
    with pytest.raises(ValueError, match="proportion"):
        wilson(right, cases)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n * 10**6), st.just(n))))
def test_graded_points_have_an_interval_between_their_neighbours(pair: tuple[int, int]) -> None:
    points, cases = pair
    between = wilson(Decimal(points).scaleb(-6), cases)
    below, above = wilson(points // 10**6, cases), wilson(-(-points // 10**6), cases)
    for end in ("low", "high"):
        found = [Decimal(interval[end]) for interval in (below, between, above)]
        assert found == sorted(found)
    low, high = Decimal(between["low"]), Decimal(between["high"])
    assert low <= round(Decimal(points) / cases / 10**6, 6) <= high


def test_the_interval_holds_the_true_mean_of_graded_scores_often_enough() -> None:
    """20 scores of a known law, 2,000 times: at least 95 % of the intervals hold its mean.

    The percentile bootstrap fails this: with all scores alike its interval is a point.
    """
    stream, held = digest.Stream(digest.of_bytes(b"coverage")), 0
    law = [0, 0, 500_000, 600_000, 700_000, 800_000, 900_000, *[1_000_000] * 13]
    mean = Decimal(sum(law)) / len(law) / 10**6
    for _ in range(2000):
        points = sum(law[stream.below(len(law))] for _ in range(20))
        interval = wilson(Decimal(points).scaleb(-6), 20)
        held += Decimal(interval["low"]) <= mean <= Decimal(interval["high"])
    assert held >= 1900


@pytest.mark.parametrize(
    ("points", "cases"), [(0, 7), (1, 1), (4_500_000, 7), (45_300_000, 50), (49_999_999, 50)]
)
def test_hoeffdings_bound_is_the_last_one_that_chance_explains(points: int, cases: int) -> None:
    """Against the theorem's own form, in floats."""

    def chance(m: float) -> float:
        t = points / cases / 1e6
        return float(((m / t) ** t * ((1 - m) / (1 - t)) ** (1 - t)) ** cases)

    bound = float(hoeffding_lower_bound(points, cases))
    if points <= 1:
        assert bound == 0
        return
    assert chance(bound) <= 0.05 + 1e-9
    assert chance(bound + 2e-6) > 0.05


def test_hoeffdings_bound_of_nothing_but_full_scores_is_the_exact_one() -> None:
    assert hoeffding_lower_bound(59_000_000, 59) == binomial_lower_bound(59, 59)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_hoeffding_assumes_less_and_so_never_says_more(pair: tuple[int, int]) -> None:
    right, cases = pair
    general = Decimal(hoeffding_lower_bound(right * 10**6, cases))
    assert general <= Decimal(binomial_lower_bound(right, cases))


@pytest.mark.parametrize(("points", "cases"), [(-1, 3), (3_000_001, 3), (0, 0)])
def test_no_mean_has_no_bound(points: int, cases: int) -> None:
    with pytest.raises(ValueError, match="proportion"):
        hoeffding_lower_bound(points, cases)


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
