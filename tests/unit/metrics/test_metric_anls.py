"""Vectors: the similarities published with the metric, and the distance by its definition."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm.metrics.anls import LONGEST_CHARACTERS, Anls, edit_distance

ANLS = Anls(Fraction(1, 2))
small = st.text(alphabet="abcä", max_size=12)


@pytest.mark.parametrize(
    ("answer", "one", "other"),
    [  # the worked example that ST-VQA's organisers give, two references apart
        ("The Coca", "0.44", "0.29"),
        ("CocaCola", "0.89", "0.47"),
        ("Coca cola", "1.00", "0.53"),
        ("Cola", "0.44", "0.23"),
        ("Cat", "0.22", "0.12"),
    ],
)
def test_published_similarities(answer: str, one: str, other: str) -> None:
    for reference, stated in (("Coca Cola", one), ("Coca Cola Company", other)):
        plain = Anls(Fraction(1)).score(answer, (reference,)).value  # the similarity, uncut
        assert float(plain) == pytest.approx(float(stated), abs=0.006)  # 4/17 is given as 0.23
        cut = plain if plain > Fraction(1, 2) else 0
        assert ANLS.score(answer, (reference,)).value == cut


def test_scores_are_exact_and_cut_at_the_threshold() -> None:
    assert ANLS.score("abd", ("abc",)).value == Fraction(2, 3)
    assert ANLS.score("ab", ("cb",)).value == 0  # one half: the equation says below the threshold
    assert Anls(Fraction("0.51")).score("ab", ("cb",)).value == Fraction(1, 2)
    assert ANLS.score("  FOO\t bar ", ("foo Bar",)).value == 1
    assert ANLS.score("cafe\u0301", ("CAFÉ",)).value == 1
    assert ANLS.score("5.", ("5",)).value == 0  # a full stop is a character
    assert not ANLS.score(" \n", ("x",)).parsed


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ("kitten", "sitting", 3),
        ("saturday", "sunday", 3),
        ("", "", 0),
        ("abc", "", 3),
        ("a", "b", 1),
    ],
)
def test_known_distances(one: str, other: str, distance: int) -> None:
    assert edit_distance(one, other) == edit_distance(other, one) == distance


@given(small, small)
def test_the_distance_is_that_of_the_table(one: str, other: str) -> None:
    row = list(range(len(other) + 1))
    for here, a in enumerate(one, 1):
        before, row[0] = row[0], here
        for there, b in enumerate(other, 1):
            before, row[there] = row[there], min(
                row[there] + 1, row[there - 1] + 1, before + (a != b)
            )  # fmt: skip
    assert edit_distance(one, other) == row[-1]


@given(small, small, small)
def test_the_distance_is_one(one: str, other: str, third: str) -> None:
    assert (edit_distance(one, other) == 0) == (one == other)
    assert edit_distance(one, third) <= edit_distance(one, other) + edit_distance(other, third)


def test_texts_that_are_too_long_are_equal_or_not() -> None:
    long = "a" * LONGEST_CHARACTERS
    assert ANLS.score(long[:-1] + "b", (long,)).value == 1 - Fraction(1, LONGEST_CHARACTERS)
    assert ANLS.score(long + "b", (long + "a",)).value == 0
    assert ANLS.score(long + "a", (long + "A",)).value == 1
