"""Which tokens of two answers were corrected: by what the capture says, or by their difference."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolm.capture.rules import apply_corrections
from kolm.encode.encoder import Encoder
from kolm.encode.examples import Dropped
from kolm.encode.segments import corrected_texts
from kolm.objectives import objective_of
from kolm.spec.options import resolve_objective
from tests.support import tiny_vlm
from tests.support.tiny_vlm import make_capture

PROCESSOR = tiny_vlm.make_pictures()


def make_encoder(**options):
    objective = objective_of(resolve_objective({"kind": "ddpo", **options}))
    return Encoder(PROCESSOR, max_seq_length=4000, max_images=4, objective=objective)


def marked(example):
    """The texts of labels that were corrected."""
    ((first, last),) = example.trained
    ids = example.input_ids[first:last]
    assert len(ids) == len(example.corrected)
    chosen = [n for n, mark in zip(ids, example.corrected, strict=True) if mark]
    return PROCESSOR.processor.tokenizer.decode(chosen)


def encode(chosen, rejected, corrections=None, **options):
    capture = make_capture(("user", [0, "what?"]), ("assistant", chosen))
    capture["rejected"] = rejected
    if corrections is not None:
        capture["corrections"] = [
            {"start": start, "end": end, "replacement": text} for start, end, text in corrections
        ]
        assert apply_corrections(rejected, capture["corrections"]) == chosen
    return make_encoder(**options).encode_pair(capture)


def test_tokens_that_a_correction_replaces_are_marked_in_both_answers():
    found = encode("two red dogs run", "two blue dogs run", [(4, 8, "red")])
    assert marked(found.chosen) == "red"
    assert marked(found.rejected) == "blue"


def test_an_insertion_marks_nothing_in_the_rejected_answer():
    found = encode("a small dog", "a dog", [(2, 2, "small ")])
    assert marked(found.rejected) == ""
    assert marked(found.chosen).strip() == "small"


def test_the_end_of_an_answer_is_never_corrected():
    found = encode("yes", "no", [(0, 2, "yes")])
    for side in (found.chosen, found.rejected):
        assert side.corrected == (*[True] * (len(side.corrected) - 1), False)


def test_without_corrections_the_difference_is_marked():
    found = encode("two red dogs run", "two blue dogs run", match_tokens=1)
    assert set(marked(found.chosen)) <= set("red")
    assert "blu" in marked(found.rejected)


def test_short_runs_of_equal_tokens_are_there_by_chance():
    short = encode("x a y b z", "p a q b r", match_tokens=1)
    long = encode("x a y b z", "p a q b r", match_tokens=4)
    assert sum(short.chosen.corrected) < sum(long.chosen.corrected)
    assert sum(long.chosen.corrected) == len(long.chosen.corrected) - 1


def test_other_objectives_mark_nothing():
    objective = objective_of(resolve_objective({"kind": "dpo"}))
    encoder = Encoder(PROCESSOR, max_seq_length=400, max_images=4, objective=objective)
    capture = {**make_capture(("user", [0, "a"]), ("assistant", "b")), "rejected": "c"}
    assert encoder.encode_pair(capture).chosen.corrected == ()


EDITS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.text(max_size=4)), max_size=4)


@settings(max_examples=80, deadline=None)
@given(st.text(min_size=1, max_size=24), EDITS)
def test_what_corrections_put_in_stands_where_they_say(rejected, edits):
    corrections, place = [], 0
    for gap, length, text in edits:
        start = min(len(rejected), place + gap)
        end = min(len(rejected), start + length)
        corrections.append({"start": start, "end": end, "replacement": text})
        place = end
    old, new = corrected_texts(corrections)
    chosen = apply_corrections(rejected, corrections)
    assert [rejected[a:b] for a, b in old] == [rejected[c["start"] : c["end"]] for c in corrections]
    assert [chosen[a:b] for a, b in new] == [c["replacement"] for c in corrections]


@pytest.mark.parametrize(
    "text", ["<|im_end|> x", "  spaces first", "caf\u00e9 \u4e2d\u6587 \U0001f600"]
)
def test_marks_are_as_many_as_labels_whatever_the_text(text):
    found = encode(text + " red", text + " blue", [(len(text) + 1, len(text) + 5, "red")])
    assert not isinstance(found, Dropped)
    assert marked(found.chosen) == "red"
    assert marked(found.rejected) == "blue"
