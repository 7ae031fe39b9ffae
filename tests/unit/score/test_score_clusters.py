"""Cases that share pictures: which they are, and what their interval is."""

from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.coverage import Setting, coverage
from kolm.score.clusters import cluster, design_effect, measure
from kolm.score.intervals import summarise, wilson
from kolm.score.rounding import MILLION

RIGHT, WRONG = MILLION, 0


def effect(scores: list[int], clusters: list[int]) -> Fraction:
    return design_effect(scores, clusters, Counter(clusters))


def test_a_chain_of_shared_pictures_is_one_cluster() -> None:
    shown = [("a",), ("b",), ("a", "c"), ("c",), (), (), ("d", "b")]
    assert cluster(shown) == [0, 1, 0, 0, 2, 3, 1]
    assert cluster([("a",), ("b",), ("b", "a")]) == [0, 0, 0]
    assert cluster([]) == []


@given(st.lists(st.lists(st.sampled_from("abcdefg"), max_size=2), max_size=12), st.randoms())
def test_clusters_do_not_depend_on_the_order_of_cases(
    shown: list[list[str]], rng: random.Random
) -> None:
    order = list(range(len(shown)))
    rng.shuffle(order)
    own, other = cluster(shown), cluster([shown[place] for place in order])
    for one, first in enumerate(order):
        for two, second in enumerate(order):
            assert (other[one] == other[two]) is (own[first] == own[second])


def test_by_hand() -> None:
    """Four pictures of two questions that are answered alike: m = 1/2, c = 4, V = 4/3 · 4 / 64.

    With clusters of one size V is the variance between them: c/(c − 1) · Σ (t − a·m)² / n².
    """
    scores, clusters = [RIGHT] * 4 + [WRONG] * 4, [0, 0, 1, 1, 2, 2, 3, 3]
    student = 1 + (1.959963984540054**2 + 1) / 12
    between = 4 / 3 * 4 * 1 / 64
    assert float(effect(scores, clusters)) == pytest.approx(between / (1 / 32) * student**2)


def test_the_correlation_behind_it_is_the_published_one() -> None:
    """Siblings of 100 families whose lungs are impaired: ρ is 0.1855 by the analysis of variance.

    Data: Liang, Zeger and Qaqish 1992, table 5; ρ: Short et al. 2020 (Statistical Methods in
    Medical Research 29), as R's `ratesci::clusterpci` says it.
    """
    families = {  # by number of siblings: how many families have 0, 1, … impaired ones
        1: (36, 12),
        2: (15, 7, 1),
        3: (5, 7, 3, 2),
        4: (3, 3, 1),
        6: (1, 0, 1, 1, 1, 0, 1),
    }
    drawn = [
        (siblings, impaired)
        for siblings, counts in families.items()
        for impaired, count in enumerate(counts)
        for _ in range(count)
    ]
    scores, clusters = [], []
    for number, (siblings, impaired) in enumerate(drawn):
        scores += [RIGHT] * impaired + [WRONG] * (siblings - impaired)
        clusters += [number] * siblings
    n, size = 203, sum(siblings**2 for siblings, _ in drawn) / 203
    c, v = n / size, 60 / n * (1 - 60 / n)
    assert (len(drawn), len(scores), sum(scores)) == (100, n, 60 * RIGHT)
    student = (1 + (1.959963984540054**2 + 1) / (4 * (c - 1))) ** 2
    variance = float(effect(scores, clusters)) * v * (c - 1) / c / student  # w + S·(v − w)
    within = (size * v - variance) / (size - 1)
    between = (n * v - (n - 1) * within) / (n - size)
    assert between / (between + within) == pytest.approx(0.1855, abs=5e-5)


@pytest.mark.parametrize(
    "setting",
    [Setting(100, "geometric, mean 5", 0.95, 0.6), Setting(100, "3, of 1 in 20 30", 0.5, 0.3)],
)
def test_it_holds_the_truth_where_clusters_are_of_unequal_sizes(setting: Setting) -> None:
    """The variance between clusters in its place holds it in 90 to 93 %; Wilson's in 60 %."""
    plain, together = coverage(setting, 1000, random.Random(1))
    assert plain < 0.7
    assert 0.935 < together < 0.97


def test_one_question_a_picture_is_nearly_wilsons_interval() -> None:
    scores = {run: [RIGHT] * 900 + [WRONG] * 100 for run in ("adapter", "base", "blind")}
    found = measure(scores, [(str(number),) for number in range(1000)])
    plain = wilson(900, 1000)
    assert found["clusters"] == 1000
    assert found["largest"] == 1
    assert float(found["adapter"]["low"]) == pytest.approx(float(plain["low"]), abs=0.0003)
    assert float(found["adapter"]["low"]) <= float(plain["low"])


def test_where_all_are_right_each_picture_counts_once() -> None:
    scores = {run: [RIGHT] * 100 for run in ("adapter", "base", "blind")}
    found = measure(scores, [(str(number // 5),) for number in range(100)])
    assert found["adapter"] == {
        "design_effect": "5", "low": wilson(20, 20)["low"], "high": "1",
    }  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from([0, 250_000, MILLION]), st.integers(0, 4)), min_size=1))
def test_an_interval_is_never_narrower_than_wilsons(rows: list[tuple[int, int]]) -> None:
    scores = [score for score, _ in rows]
    found = measure(
        dict.fromkeys(("adapter", "base", "blind"), scores), [(str(n),) for _, n in rows]
    )
    plain = summarise(scores)["interval"]
    assert float(found["adapter"]["low"]) <= float(plain["low"])
    assert float(found["adapter"]["high"]) >= float(plain["high"])
    assert 1 <= effect(scores, [number for _, number in rows]) <= len(rows)
    assert 0 <= float(found["adapter"]["low"]) <= float(found["adapter"]["high"]) <= 1
