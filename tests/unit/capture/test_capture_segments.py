"""The segments in which two answers differ."""

from __future__ import annotations

import time
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from kolm.capture import limits, rules, segments
from kolm.records.capture import Correction

TEXTS = st.lists(st.sampled_from(["a", "b", "red", " ", "\n", "  ", "é", "."])).map("".join)


@given(rejected=TEXTS, response=TEXTS)
def test_they_turn_one_text_into_the_other(rejected: str, response: str) -> None:
    edits = segments.corrections(rejected, response)
    stated = [edit._asdict() for edit in edits]
    assert rules.apply_corrections(rejected, stated) == response
    assert all(left.end <= right.start for left, right in pairwise(edits))
    assert bool(edits) == (rejected != response)


def test_whole_words_differ() -> None:
    # RLHF-V's own example of a corrected segment, in its paper's figure 1, has this form.
    rejected = "The clock on the wall shows 8:00 and the door is open."
    response = "The clock on the wall shows 9:15 and the door is closed."
    assert segments.corrections(rejected, response) == (
        Correction(start=28, end=33, replacement="9:15 "),
        Correction(start=49, end=54, replacement="closed."),
    )


def test_many_differences_are_one() -> None:
    rejected = " ".join(f"a{n} same" for n in range(limits.MAX_CORRECTIONS + 1))
    assert len(segments.corrections(rejected, rejected.replace("a", "b"))) == 1
    long = "x " * (segments.MAX_WORDS + 1)
    assert len(segments.corrections(f"start {long}end", f"start {'y ' * 9}end")) == 1


def test_a_text_that_was_made_to_take_long_does_not() -> None:
    words = ["a", "b", "a", "a", "b", "b", "a", "b"] * (segments.MAX_WORDS // 8)
    left, right = " ".join(words), " ".join(["c", *reversed(words)][: segments.MAX_WORDS])
    begin = time.process_time()
    segments.corrections(left, right)
    assert time.process_time() - begin < 5
