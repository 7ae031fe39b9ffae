"""Numbers in words."""

from __future__ import annotations

import pytest

from kolm.counting import counted


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (1, "capture", "1 capture"),
        (0, "capture", "0 captures"),
        (9673, "case", "9,673 cases"),
        (2, "entry", "2 entries"),
        (2, "key", "2 keys"),
        (1, "image file", "1 image file"),
    ],
)
def test_a_noun_agrees_with_its_number(number: int, noun: str, words: str) -> None:
    assert counted(number, noun) == words
