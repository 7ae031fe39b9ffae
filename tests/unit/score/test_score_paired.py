from fractions import Fraction
from math import comb
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm.score.paired import compare, p_millionths, two_sided_p
from kolm.score.rounding import millionths


@pytest.mark.parametrize(
    ("adapter_only", "base_only", "p"),
    [
        (10, 2, Fraction("0.03857421875")),
        (2, 10, Fraction("0.03857421875")),
        (0, 0, Fraction(1)),
        (1, 0, Fraction(1)),
        (5, 0, Fraction("0.0625")),
        (6, 0, Fraction("0.03125")),
        (3, 3, Fraction(1)),
        (8, 1, Fraction("0.0390625")),
    ],
)
def test_known_values_of_the_exact_test(adapter_only: int, base_only: int, p: Fraction) -> None:
    assert two_sided_p(adapter_only, base_only) == p


@given(st.integers(0, 60), st.integers(0, 60))
def test_agrees_with_the_binomial_sum(left: int, right: int) -> None:
    n = left + right
    tail = sum(comb(n, i) for i in range(min(left, right) + 1))
    assert two_sided_p(left, right) == min(1, Fraction(2 * tail, 2**n))


def test_thousands_of_cases_neither_underflow_nor_take_long() -> None:
    p = two_sided_p(5200, 4473)
    assert 0 < p < Fraction(1, 10**12)
    assert two_sided_p(9000, 3) > 0


@pytest.mark.parametrize("cases", [2001, 2002, 5001])
def test_many_cases_give_the_p_of_the_whole_sum(cases: int) -> None:
    few = {0, cases // 2, cases // 2 - 1, *range(cases // 2 - 200, cases // 2, 9)}
    for one in few:
        assert p_millionths(cases - one, one) == millionths(two_sided_p(one, cases - one))


def test_counts_that_somebody_states_cost_nothing() -> None:
    before = process_time()
    assert [p_millionths(99_000 + more, 100_000) for more in range(3)] == [25_127, 25_274, 25_421]
    assert p_millionths(1, 199_999) == 0
    assert process_time() - before < 1  # the whole sums take 20 s


def test_compare_counts_only_cases_that_one_side_wins() -> None:
    one, none = 1_000_000, 0
    adapter = [one] * 10 + [none] * 2 + [one] * 5 + [none] * 3
    base = [none] * 10 + [one] * 2 + [one] * 5 + [none] * 3
    paired = compare(adapter, base, binary=True)
    assert (paired["adapter_only"], paired["base_only"], paired["p"]) == (10, 2, "0.038574")
    assert paired["method"] == "mcnemar-exact"


def test_graded_scores_use_the_sign_test_and_a_tiny_p_is_written_zero() -> None:
    paired = compare([700_000] * 40, [600_000] * 40, binary=False)
    assert (paired["method"], paired["p"]) == ("sign-exact", "0")
