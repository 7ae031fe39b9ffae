"""What counts as standing in an answer, and what does not."""

import pytest

from kolm.metrics.contains import Contains, words


@pytest.mark.parametrize(
    ("answer", "reference", "right"),
    [
        ("red", "red", True),
        ("It is RED.", "red", True),
        ("The sign says “Main Street”, I think.", "main street", True),
        ("the answer (a circle) is", "a circle", True),
        ("Main and Street", "Main Street", False),
        ("Street Main", "Main Street", False),
        ("reddish", "red", False),
        ("light-blue", "blue", False),
        ("It is 3.5 metres", "5", False),
        ("It is 3.5", "3.5", True),
        ("There are 5.", "5", True),
        ("5%", "5", False),
        ("-5", "5", False),
        ("$5", "5", False),
        (".5", "5", False),
        ("1,5", "5", False),
        ("red/blue", "red", False),
        ("red, blue, green", "blue", True),  # who lists everything is right: the page says so
        ("not red", "red", True),  # and a denial is not seen
        ("Straße", "STRASSE", True),
        ("caf\u00e9 noir", "cafe\u0301", True),
        ("it's", "it", False),
        ("unanswerable", "unanswerable", True),  # a word like others
        ("?!", "?!", True),  # no words: equal or not
        ("what?!", "?!", False),
        ("答案是红色", "红色", False),  # no spaces, no words within
        ("答案是 红色", "红色", True),
    ],
)
def test_the_reference_stands_in_the_answer_as_whole_words(
    answer: str, reference: str, right: bool
) -> None:
    score = Contains().score(answer, (reference,))
    assert (score.value, score.parsed) == (int(right), True)


@pytest.mark.parametrize("answer", ["", " ", ".", "\n"])
def test_an_empty_answer_is_not_parsed(answer: str) -> None:
    score = Contains().score(answer, ("red",))
    assert (score.value, score.parsed) == (0, False)


def test_words_lose_what_surrounds_them_and_keep_what_is_theirs() -> None:
    assert words('He said: "well-known" (3.5%), it’s …') == (
        "he", "said", "well-known", "3.5%", "it’s",
    )  # fmt: skip
