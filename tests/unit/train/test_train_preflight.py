"""Preflight: what training and scoring will see, and what stops them before they start."""

from kolm.encode.encoder import Encoder
from kolm.train.plan import read_plan
from kolm.train.preflight import Named, encode_to_answer, encode_to_learn, summarise
from tests.support import tiny_vlm
from tests.support.tiny_vlm import make_capture
from tests.support.train_run import ZERO, make_lock

TRAIN = {"max_seq_length": 60, "max_images": 1}


def make_encoder(**limits):
    return Encoder(
        tiny_vlm.make_pictures(),
        **{**TRAIN, **limits},
    )


def named(*captures):
    return [Named(f"row {number}", number, capture) for number, capture in enumerate(captures)]


def test_it_counts_what_training_will_see_and_names_the_rest():
    found = encode_to_learn(
        named(
            make_capture(("user", [0, "a?"]), ("assistant", "yes")),
            make_capture(("user", [0, "b" * 90]), ("assistant", "no")),
            make_capture(("user", "c?"), ("assistant", "maybe"), images=0),
            make_capture(("user", [0, "d?"]), ("assistant", "x" * 90)),
            make_capture(("user", [0, 1, "e?"]), ("assistant", "so"), images=2),
            make_capture(("user", [0, "f?"]), ("assistant", [3, "so"])),
        ),
        make_encoder(),
    )
    assert found.names == ["row 0", "row 1", "row 2"]
    assert found.dropped == {"over_budget": ["row 3"], "too_many_images": ["row 4"]}
    assert found.cut == ["row 1"]
    assert [(name, error.code) for name, error in found.refused] == [
        ("row 5", "E_ENCODE_IMAGE_NUMBER")
    ]
    plan = read_plan(make_lock(ZERO, steps=6, batch_size=2, **TRAIN))
    seen = summarise(plan, found.examples)
    assert (seen.examples, seen.without_images) == (3, 1)
    assert seen.longest_tokens == 60
    assert seen.epochs_permille == 3000


def test_every_prompt_that_cannot_be_asked_is_named_and_every_answer_that_cannot_be_given():
    captures = named(
        make_capture(("user", [0, "a?"]), ("assistant", "yes")),  # 3 letters and the end: 4 tokens
        make_capture(("user", [0, "b" * 90]), ("assistant", "yes!")),
        make_capture(("user", [0, 1, "c?"]), ("assistant", "so"), images=2),
        make_capture(("user", [0, "d?"]), ("assistant", "Yes. ")),  # equal to "yes"
        make_capture(("user", "e?"), ("assistant", "a"), images=0),
        make_capture(("user", [0, 1, "f?"]), ("assistant", "so"), images=2),
    )
    settings = {"max_new_tokens": 4, "metric": {"kind": "exact"}}
    found = encode_to_answer(captures, make_encoder(), settings)
    assert [(name, error.code) for name, error in found.refused] == [
        ("row 2", "E_ENCODE_TOO_MANY_IMAGES"),
        ("row 5", "E_ENCODE_TOO_MANY_IMAGES"),
    ]
    assert found.cut == ["row 1"]
    assert found.long_answers == ["row 1"]
    other = {"max_new_tokens": 4, "metric": {"kind": "relaxed", "tolerance": "0.05"}}
    assert found.unreachable == 1
    relaxed = encode_to_answer(captures, make_encoder(), other)
    assert (relaxed.long_answers, relaxed.unreachable) == (["row 1", "row 3"], 0)


def test_answer_tokens_are_those_of_the_last_answer():
    capture = make_capture(
        ("user", [0, "a?"]), ("assistant", "no"), ("user", "b?"), ("assistant", "perhaps")
    )
    assert make_encoder().answer_tokens(capture) == len("perhaps") + 1
