import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm.metrics.exact import Exact, normalise


@pytest.mark.parametrize(
    ("output", "reference"),
    [
        ("yes", "yes"),
        ("Yes", "yes"),
        ("  yes\n", "yes"),
        ("yes.", "yes"),
        ("Yes .", "yes"),
        ("dark   blue", "dark blue"),
        ("dark blue", "dark\tblue"),
        ("cafe\u0301", "caf\u00e9"),  # combining accent against the composed letter
        ("STRASSE", "straße"),
        ("\u1e9e", "ss"),
        ("3.", "3"),
    ],
)
def test_answers_that_say_the_same_are_equal(output: str, reference: str) -> None:
    assert Exact().score(output, (reference,)).value == 1


@pytest.mark.parametrize(
    ("output", "reference"),
    [
        ("yes", "no"),
        ("the circle", "circle"),
        ("circle!", "circle"),
        ("3", "three"),
        ("yes..", "yes"),
        ("3.0", "3"),
        ("1 000", "1000"),
    ],
)
def test_articles_punctuation_and_number_words_count(output: str, reference: str) -> None:
    score = Exact().score(output, (reference,))
    assert (score.value, score.parsed) == (0, True)


@pytest.mark.parametrize("output", ["", "  ", "\n", ".", " . "])
def test_an_empty_answer_is_not_parsed_and_never_right(output: str) -> None:
    for reference in ("yes", "", "."):
        score = Exact().score(output, (reference,))
        assert (score.value, score.parsed) == (0, False)


def test_ascii_shortcut_agrees_with_the_full_rule() -> None:
    for text in ("A  b.", " .x", "Q\x0b\x1cz", "tab\tbed .", "I"):
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
        joined = " ".join(folded.split())
        assert normalise(text) == (joined[:-1].rstrip() if joined.endswith(".") else joined)


# marks of several classes, starters that come apart, one that comes apart into marks, Hangul
MARKS = st.text("\u0301\u0316\u0334\u0345\u0344\u0f73\u0f71\u0f72e\u00e9\u1f82\u1100\u1161\u11a8A ")


@given(MARKS, st.integers(1, 40))
def test_long_texts_are_normalised_to_the_same(text: str, times: int) -> None:
    long = text * times
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", long).casefold())
    assert normalise(long) == " ".join(folded.split())


@pytest.mark.parametrize(
    "text", ["\u0301" * 100_000 + "\u0316" * 100_000, "\u0f73" * 100_000, "\u0316\u0301" * 100_000]
)
def test_marks_in_the_worst_order_take_no_longer_than_their_number(text: str) -> None:
    began = time.process_time()
    normalise(text)
    assert time.process_time() - began < 5  # by insertion: half a minute and more
