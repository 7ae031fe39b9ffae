"""Of several answers a better and a worse one."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm.capture import pairing
from kolm.capture.documents import seal
from kolm.capture.pairing import Pair, Sample, choose
from kolm.metrics import metric_of
from kolm.records.capture import Correction, Source
from tests.support.pictures import capture

EXACT = metric_of({"kind": "exact"})


def exact(text: str) -> Fraction:
    return EXACT.score(text, ("red",)).value


def samples(*texts: str) -> list[Sample]:
    """Answers; one that ends with … was cut."""
    return [Sample(text=text, ended=not text.endswith("…")) for text in texts]


def outcome(
    given: list[Sample], better: Any, score: Any = exact
) -> tuple[Any, Any, dict[str, int]]:
    found = choose(given, "red", better, score)
    return found.pair, found.reason, dict(found.dropped)


def test_the_reference_is_better_than_the_worst_sample() -> None:
    found = outcome(samples("Red", "blue", "green"), "reference")
    assert found == (Pair("red", "blue"), None, {})


def test_the_best_sample_is_better_than_the_worst() -> None:
    length = {"a": Fraction(1), "bb": Fraction(3), "ccc": Fraction(2)}
    found = outcome(samples("ccc", "a", "bb"), "sample", length.get)
    assert found == (Pair("bb", "a"), None, {})


def test_answers_that_are_no_candidates_are_counted() -> None:
    given = samples("blue", "blue", " blue\n", "red", "", "  ", "cut…", "[TODO: x]")
    pair, reason, dropped = outcome(given, "reference")
    assert (pair, reason) == (Pair("red", "blue"), None)
    assert dropped == {"equal": 3, "unusable": 3, "cut": 1}


def test_a_sample_that_repeats_the_reference_can_be_the_better_one() -> None:
    found = outcome(samples("blue", "red"), "sample")
    assert found == (Pair("red", "blue"), None, {"equal": 1})


@pytest.mark.parametrize("better", ["reference", "sample"])
def test_there_is_no_pair_without_a_worse_answer(better: str) -> None:
    assert outcome(samples("RED", "Red."), better)[:2] == (None, "none_worse")
    assert outcome(samples("red", "cut…"), better)[:2] == (None, "no_candidates")
    assert outcome([], better)[:2] == (None, "no_candidates")


def test_answers_without_a_score_are_counted_and_never_chosen() -> None:
    scores = {"a": Fraction(3), "c": Fraction(9), "red": Fraction(9)}
    found = outcome(samples("a", "b", "c"), "sample", scores.get)
    assert found == (Pair("c", "a"), None, {"unscored": 1})
    found = outcome(samples("a"), "reference", {"a": Fraction(3)}.get)
    assert found == (None, "no_candidates", {})


@given(st.lists(st.tuples(st.sampled_from(["red", "a", "b ", "b", "", "c"]), st.booleans())))
def test_any_samples_give_a_pair_that_differs_or_none(given: list[tuple[str, bool]]) -> None:
    found = choose([Sample(*one) for one in given], "red", "reference", exact)
    assert (found.pair is None) == (found.reason is not None)
    if found.pair is not None:
        assert found.pair.chosen == "red"
        assert exact(found.pair.rejected) < 1
        made = pairing.paired(
            capture(0, response="red"), found.pair, Source(kind=pairing.KIND, name="x")
        )
        seal(made, where="here")


def test_a_judge_is_asked_of_what_is_compared() -> None:
    given = samples("a", "a", "cut…", "red")
    assert list(pairing.to_judge(given, "red", "reference")) == ["a", "red"]
    assert list(pairing.to_judge(given, "red", "sample")) == ["a", "red"]
    assert list(pairing.to_judge(samples("a"), "red", "sample")) == ["a"]
    assert list(pairing.to_judge(samples("red"), "red", "sample")) == []


def test_corrections_of_an_earlier_pair_are_not_kept() -> None:
    before = capture(
        0, response="red", rejected="bed", tags=("a",), split="eval",
        corrections=(Correction(start=0, end=1, replacement="r"),),
    )  # fmt: skip
    made = pairing.paired(before, Pair("RED", "blue"), Source(kind="pairs", name="x"))
    assert (made.rejected, made.corrections) == ("blue", None)
    assert (made.tags, made.split, made.images) == (before.tags, "eval", before.images)
    seal(made, where="here")
