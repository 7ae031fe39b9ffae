import pytest

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
    assert Exact().score(output, reference).value == 1


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
    score = Exact().score(output, reference)
    assert (score.value, score.parsed) == (0, True)


@pytest.mark.parametrize("output", ["", "  ", "\n", ".", " . "])
def test_an_empty_answer_is_not_parsed_and_never_right(output: str) -> None:
    for reference in ("yes", "", "."):
        score = Exact().score(output, reference)
        assert (score.value, score.parsed) == (0, False)


def test_ascii_shortcut_agrees_with_the_full_rule() -> None:
    import unicodedata

    for text in ("A  b.", " .x", "Q\x0b\x1cz", "tab\tbed .", "I"):
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
        joined = " ".join(folded.split())
        assert normalise(text) == (joined[:-1].rstrip() if joined.endswith(".") else joined)
