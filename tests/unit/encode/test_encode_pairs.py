"""Pairs: one prompt, two answers, and nothing else that differs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolm.encode.encoder import Encoder
from kolm.encode.examples import Dropped, DropReason
from kolm.errors import Refused
from tests.support import tiny_vlm
from tests.support.tiny_vlm import make_capture

PROCESSOR = tiny_vlm.make_pictures()


def make_encoder(**limits):
    return Encoder(PROCESSOR, **{"max_seq_length": 300, "max_images": 4, **limits})


def make_pair(chosen, rejected, *before, images=1):
    turns = before or (("user", [0, "what is it?"]),)
    return {**make_capture(*turns, ("assistant", chosen), images=images), "rejected": rejected}


def labels(example):
    return [example.input_ids[start:end] for start, end in example.trained]


def test_an_answer_in_several_parts_has_a_rejected_one_in_one():
    parts = make_pair(["a red ", "circle"], "no")
    one = make_pair("a red circle", "no")
    encoder = make_encoder()
    pair, same = encoder.encode_pair(parts), encoder.encode_pair(one)
    assert pair.rejected == same.rejected
    assert pair.chosen.label_tokens > pair.rejected.label_tokens


def test_both_answers_follow_one_prompt_and_the_last_turn_alone_is_learned():
    before = (("user", [0, "a?"]), ("assistant", "b"), ("user", "and c?"))
    capture = make_pair("a red circle", "no", *before)
    encoder = make_encoder()
    pair = encoder.encode_pair(capture, position=7)
    prompt = encoder.encode_prompt(capture).input_ids
    alone = encoder.encode(capture)
    assert pair.chosen.input_ids == alone.input_ids
    for side in (pair.chosen, pair.rejected):
        assert side.input_ids[: len(prompt)] == prompt
        assert [start for start, _ in side.trained] == [len(prompt)]
        assert side.images == alone.images
        assert side.prefix == alone.prefix
        assert side.position == 7
    assert labels(pair.chosen) == labels(alone)[-1:]
    other = encoder.encode(make_capture(*before, ("assistant", "no")))
    assert pair.rejected.input_ids == other.input_ids
    assert pair.tokens == max(len(alone.input_ids), len(other.input_ids))


@pytest.mark.parametrize(("chosen", "rejected"), [("a b", "a  b"), ("a b", "ab"), ("no", "no\n")])
def test_answers_that_differ_in_white_space_alone_are_left_out(chosen, rejected):
    found = make_encoder().encode_pair(make_pair(chosen, rejected), position=3)
    assert found == Dropped(position=3, reason=DropReason.SAME_ANSWERS)


def test_a_capture_without_a_rejected_answer_is_refused():
    with pytest.raises(Refused) as refused:
        make_encoder().encode_pair(make_capture(("user", [0, "a"]), ("assistant", "b")))
    assert refused.value.code == "E_TRAIN_NO_REJECTED"


@pytest.mark.parametrize("swapped", [False, True])
def test_a_prompt_is_cut_the_same_before_both_answers(swapped):
    answers = ("a very long answer " * 3, "no")
    chosen, rejected = reversed(answers) if swapped else answers
    capture = make_pair(chosen, rejected, ("user", [0, "many words " * 30]))
    whole = make_encoder(max_seq_length=4000).encode_pair(capture)
    pair = make_encoder(max_seq_length=whole.tokens - 40).encode_pair(capture)
    assert pair.tokens <= whole.tokens - 40
    assert pair.cut_tokens == pair.rejected.cut_tokens >= 40
    first, second = pair.chosen.trained[0][0], pair.rejected.trained[0][0]
    assert pair.chosen.input_ids[:first] == pair.rejected.input_ids[:second]
    assert labels(pair.chosen) == labels(whole.chosen)
    assert labels(pair.rejected) == labels(whole.rejected)


def test_a_pair_of_which_one_conversation_is_too_long_is_left_out():
    found = make_encoder(max_seq_length=40).encode_pair(make_pair("no", "much too long " * 20))
    assert found.reason is DropReason.OVER_BUDGET


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=12), st.text(min_size=1, max_size=12))
def test_any_two_answers_become_those_of_two_conversations(chosen, rejected):
    encoder = make_encoder()
    capture = make_pair("." + chosen, "." + rejected)
    found = encoder.encode_pair(capture)
    if isinstance(found, Dropped):
        assert found.reason is DropReason.SAME_ANSWERS
        return
    for side, text in ((found.chosen, chosen), (found.rejected, rejected)):
        alone = encoder.encode(
            make_capture(("user", [0, "what is it?"]), ("assistant", "." + text))
        )
        assert (side.input_ids, side.trained) == (alone.input_ids, alone.trained)
