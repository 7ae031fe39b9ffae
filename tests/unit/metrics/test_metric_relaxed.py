"""Vectors: the published behaviour of ChartQA's relaxed correctness, and where ours departs."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm.metrics.numbers import parse_number
from kolm.metrics.relaxed import Relaxed

RELAXED = Relaxed(Fraction(1, 20))


def _published(target: str, prediction: str) -> bool:
    """The behaviour that the harnesses share, written down again here as an oracle."""

    def number(text: str) -> float | None:
        try:
            return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
        except ValueError:
            return None

    said, due = number(prediction), number(target)
    if said is not None and due:
        return abs(said - due) / abs(due) <= 0.05
    return prediction.lower() == target.lower()


@pytest.mark.parametrize(
    ("target", "prediction", "right"),
    [
        ("100", "105", True),
        ("100", "95", True),
        ("100", "105.0001", False),
        ("100", "94.9", False),
        ("3", "3.15", True),
        ("-20", "-21", True),
        ("-20", "21", False),
        ("50%", "0.51", True),
        ("0.5", "50%", True),
        ("50%", "50", False),  # the published pitfall: one side with %, one without
        ("12%", "12.5%", True),
        ("0", "0", True),  # a zero reference falls to text comparison
        ("0", "0.0", False),
        ("0", "0.01", False),
        ("0.0", "0", False),
        ("Yes", "yes", True),
        ("Blue", "blue ", True),
        ("blue", "light blue", False),
        ("2014", "2014", True),
        ("2014", "1999", True),  # years are numbers: within 5 %
        ("1e3", "1040", True),
        ("1,000", "1000", False),  # digit groups are text
        ("1,000", "1,000", True),
    ],
)
def test_published_examples(target: str, prediction: str, right: bool) -> None:
    assert RELAXED.score(prediction, (target,)).value == int(right)
    assert _published(target, prediction.strip()) is right


@given(
    st.decimals(-(10**6), 10**6, places=3).map(str),
    st.decimals(-(10**6), 10**6, places=3).map(str),
)
def test_agrees_with_the_published_function_off_the_edge(target: str, prediction: str) -> None:
    if float(target) and math.isclose(
        abs(float(prediction) - float(target)) / abs(float(target)), 0.05, rel_tol=1e-9
    ):
        return
    assert bool(RELAXED.score(prediction, (target,)).value) is _published(target, prediction)


def test_the_edge_is_exact_where_binary_floats_are_not() -> None:
    # 0.3 * 1.05 is 0.315 exactly; the float quotient is 0.05000000000000005
    assert _published("0.3", "0.315") is False
    assert RELAXED.score("0.315", ("0.3",)).value == 1


@pytest.mark.parametrize(
    "text", ["nan", "inf", "-Infinity", "1_000", "٣", "", "%", "1e9999", "0x10"]
)
def test_what_is_not_a_number(text: str) -> None:
    assert parse_number(text) is None


def test_a_huge_number_is_text_and_costs_nothing() -> None:
    assert parse_number("9" * 65) is None
    assert parse_number("1e999") == Fraction(10) ** 999


@pytest.mark.parametrize(
    ("output", "reference", "parsed"),
    [
        ("blue", "5", False),
        ("5", "blue", True),
        ("", "blue", False),
        ("4", "5", True),
        ("x", "0", False),
    ],
)
def test_a_number_must_answer_a_number(output: str, reference: str, parsed: bool) -> None:
    assert RELAXED.score(output, (reference,)).parsed is parsed


def test_tolerance_is_taken_from_the_settings() -> None:
    assert Relaxed(Fraction(1, 10)).score("110", ("100",)).value == 1
    assert Relaxed(Fraction(0)).score("100.0", ("100",)).value == 1
    assert Relaxed(Fraction(0)).score("100.1", ("100",)).value == 0
