"""Patterns: what they match, what they refuse, and that none of them takes long."""

from __future__ import annotations

import re
import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolm.errors import Refused
from kolm.metrics.pattern_syntax import MAX_CHARACTERS
from kolm.metrics.patterns import LONGEST_TEXT, compiled
from kolm.metrics.regex import Regex

LEAVES = st.sampled_from(
    [
        "a",
        "b",
        "1",
        r"\d",
        r"\w",
        r"\s",
        r"\D",
        "[ab]",
        "[^a-c]",
        ".",
        r"\.",
        r"[\d_]",
        "-",
        r"\b",
        r"\B",
    ]
)
REPEATS = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}", "*?", "+?", "??", "{0,2}?"])


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(inner, min_size=2, max_size=3).map("".join),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        st.tuples(inner, REPEATS).map(lambda two: f"(?:{two[0]}){two[1]}"),
    )


BARE = st.recursive(LEAVES, _grow, max_leaves=8)
PATTERNS = st.one_of(
    BARE,
    st.tuples(BARE, BARE, BARE).map(lambda three: f"{three[0]}({three[1]}){three[2]}"),
    st.tuples(BARE, BARE).map(lambda two: f"^{two[0]}({two[1]})?$"),
)


@settings(max_examples=400, deadline=None)
@given(PATTERNS, st.text(alphabet="aabbc1_-. ", max_size=14))
def test_a_match_is_where_pythons_is(pattern: str, text: str) -> None:
    text = text.strip() or "a"  # in an empty text Python finds no \\B, as others do
    try:
        program = compiled(pattern)
    except Refused:
        return
    match = re.search(pattern, text, re.ASCII)
    found = program.find(text)
    span = match.span(1 if match.re.groups else 0) if match else (-1, -1)
    assert (found or (-1, -1)) == span


@pytest.mark.parametrize(
    "pattern",
    ["(", ")", "a)", "[", "[]", "[b-a]", "[[:alpha:]]", "*", "a**", "a{2", "a{3,2}", "a{0}",
     "a{99}",
     "a{,2}", "(a)(b)", "(?=a)", "(?P<n>a)", "(?i)a", r"\1", r"\p", r"a\Z", "a\\", "^*", "(?:a?)*",
     "(?:a*)+", "(a)+", "(?:a|b?){2}", "a{2}{2}", r"[\b]", r"[a-\d]", "a" * (MAX_CHARACTERS + 1),
     "(?:" * 9 + "a" + ")" * 9, "(?:a{32}){32}", "a{32}b{32}c{32}d"],
)  # fmt: skip
def test_what_a_pattern_may_not_hold_is_refused(pattern: str) -> None:
    with pytest.raises(Refused) as caught:
        compiled(pattern)
    assert caught.value.code == "E_METRIC_PATTERN"


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_pattern_or_is_refused(pattern: str) -> None:
    try:
        compiled(pattern).find("some text 12")
    except Refused as error:
        assert error.code == "E_METRIC_PATTERN"


@pytest.mark.parametrize(
    "pattern",  # each takes a backtracking engine the square of a text or its power
    ["(?:a+)+b", "(?:a|a)*b", "(?:a|b)*a(?:a|b){20}", r"(?:\w+\s?)+x", "a*a*a*a*a*b",
     "[ab]?" * 32 + "x",
     r"(?:\b[ab]+|[ab]+\B)+x", "(?:[ab]|[ab]|[ab]){1,12}x", "(?:.*?,)+x", "(a|ab)(?:c|bcd)*b?x"],
)  # fmt: skip
def test_hostile_patterns_take_time_in_proportion(pattern: str) -> None:
    program = compiled(pattern)
    spent = []
    for length in (LONGEST_TEXT // 8, LONGEST_TEXT):
        texts = ["a" * length, ("ab" * length)[:length], ("aabab" * length)[:length]]
        began = time.process_time()
        for text in texts:
            program.find(text)
        spent.append(time.process_time() - began)
    assert spent[1] < 40 * spent[0] + 0.05, spent  # 8 times the text
    assert spent[1] < 1, spent


def test_the_group_or_the_whole_match_is_compared_as_by_exact() -> None:
    metric = Regex("[Aa]nswer: ([a-z ]+)")
    assert metric.score("The Answer: dark red.", ("answer: dark  red",)).value == 1
    assert metric.score("The Answer: red", ("answer: blue",)) == (Fraction(0), True)
    assert not metric.score("dark red", ("answer: dark red",)).parsed
    assert metric.score("answer: red", ("red",)).value == 0  # nothing is found in the reference
    assert Regex("[0-9]+").score("it is 12, or 13", ("12",)).value == 1
    assert not Regex("a*").score("bbb", ("bbb",)).parsed  # what is found is empty


def test_in_texts_that_are_too_long_nothing_is_found() -> None:
    assert compiled("b$").find("a" * (LONGEST_TEXT - 1) + "b") == (LONGEST_TEXT - 1, LONGEST_TEXT)
    assert compiled("b").find("b" * (LONGEST_TEXT + 1)) is None
