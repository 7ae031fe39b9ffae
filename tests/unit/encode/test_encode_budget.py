"""The token budget: what is cut, in which order, and what never is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm.encode.budget import KEPT_PROMPT_TOKENS, TokenRun, count_tokens, cut_prompt
from kolm.encode.encoder import Encoder
from kolm.encode.examples import Dropped, DropReason
from kolm.errors import Refused
from kolm.models import pictures
from tests.support import tiny_vlm
from tests.support.tiny_vlm import make_capture


def make_encoder(max_seq_length, *, shrink_images=False):
    return Encoder(
        tiny_vlm.make_pictures(max_pixels=64 * 64),
        max_seq_length=max_seq_length,
        max_images=4,
        shrink_images=shrink_images,
    )


RUNS = st.lists(
    st.builds(
        lambda size, kind: TokenRun(
            ids=tuple(range(size)),
            trained=kind == 1,
            cuttable=kind == 0,
            image=0 if kind == 2 else -1,
        ),
        st.integers(0, 60),
        st.integers(0, 3),
    ),
    max_size=8,
)


@given(RUNS, st.integers(0, 300))
def test_only_prompt_text_is_cut_and_only_as_much_as_needed(runs, limit):
    cut = cut_prompt(runs, limit)
    if cut is None:
        shortest = sum(
            min(len(run.ids), KEPT_PROMPT_TOKENS) if run.cuttable else len(run.ids) for run in runs
        )
        assert shortest > limit
        return
    assert count_tokens(cut) <= limit
    lengths = []
    for before, after in zip(runs, cut, strict=True):
        if not before.cuttable:
            assert after == before
        elif len(after.ids) < len(before.ids):
            lengths.append(len(after.ids))
            head = (len(after.ids) + 1) // 2
            assert after.ids[:head] == before.ids[:head]
            assert after.ids[head:] == before.ids[len(before.ids) - len(after.ids) + head :]
    if lengths:  # one common length, and one token more for each would not fit
        assert len(set(lengths)) == 1
        assert count_tokens(cut) + len(lengths) > limit


def test_a_long_prompt_is_cut_and_image_and_answer_are_whole():
    capture = make_capture(("user", [0, "x" * 300]), ("assistant", "a circle"))
    example = make_encoder(80).encode(capture)
    assert len(example.input_ids) <= 80
    kept = tiny_vlm.make_tokenizer().decode(example.input_ids).count("x")
    assert example.cut_tokens == 300 - kept
    assert example.input_ids.count(tiny_vlm.IMAGE) == 4
    (start, end), = example.trained  # fmt: skip
    assert tiny_vlm.make_tokenizer().decode(example.input_ids[start:end]) == "a circle<|im_end|>"


def test_an_image_is_shrunk_only_when_the_spec_allows_it():
    capture = make_capture(("user", [0, "what?"]), ("assistant", "x"), width=64, height=64)
    assert make_encoder(42).encode(capture) == Dropped(position=-1, reason=DropReason.OVER_BUDGET)
    example = make_encoder(42, shrink_images=True).encode(capture)
    use = example.images[0]
    assert use.max_pixels == 64 * 64 // 2
    assert use.tokens == 4 < 16
    assert example.input_ids.count(tiny_vlm.IMAGE) == use.tokens
    assert example.cut_tokens == 0


def test_prompt_text_is_cut_before_an_image_is_shrunk():
    capture = make_capture(("user", [0, "x" * 40]), ("assistant", "x"), width=64, height=64)
    example = make_encoder(60, shrink_images=True).encode(capture)
    assert example.images[0].max_pixels is None
    assert example.cut_tokens > 0


@pytest.mark.parametrize("answer", ["y" * 200, "y" * 100])
def test_an_answer_over_the_budget_drops_the_example(answer):
    capture = make_capture(("user", [0, "what?"]), ("assistant", answer))
    dropped = make_encoder(80, shrink_images=True).encode(capture, position=3)
    assert dropped == Dropped(position=3, reason=DropReason.OVER_BUDGET)


def test_a_prompt_that_cannot_be_made_to_fit_is_refused_in_evaluation():
    capture = make_capture(("user", [0, "what?"]), ("assistant", "x"), width=64, height=64)
    with pytest.raises(Refused) as caught:
        make_encoder(30).encode_prompt(capture)
    assert caught.value.code == "E_ENCODE_PROMPT_TOO_LONG"


@given(
    lengths=st.lists(st.integers(0, 120), min_size=1, max_size=4),
    images=st.integers(0, 3),
    limit=st.integers(20, 160),
    shrink=st.booleans(),
)
def test_no_length_makes_tokens_and_features_differ(lengths, images, limit, shrink):
    turns = []
    for turn, length in enumerate(lengths):
        pictures = list(range(images)) if turn == 0 else []
        turns += [("user", [*pictures, "x" * length]), ("assistant", "y")]
    capture = make_capture(*turns, images=images, width=48, height=48)
    example = make_encoder(limit, shrink_images=shrink).encode(capture)
    if isinstance(example, Dropped):
        return
    assert len(example.input_ids) <= limit
    assert example.input_ids.count(tiny_vlm.IMAGE) == sum(use.tokens for use in example.images)
    for use in example.images:
        run = example.input_ids[use.start : use.start + use.tokens]
        assert set(run) == {tiny_vlm.IMAGE}
        assert use.tokens == use.form[1] * use.form[2] // 4
    assert example.label_tokens == 2 * len(lengths)


@pytest.mark.parametrize(("width", "height"), [(4000, 8), (1, 201), (601, 3), (1, 4000)])
def test_a_picture_too_thin_for_the_family_is_widened_and_kept(width, height):
    processor = tiny_vlm.make_pictures()
    run = processor.run(height, width)
    assert processor.inputs(tiny_vlm.make_picture(3, width=width, height=height))[1] == run
    capture = make_capture(("user", [0, "?"]), ("assistant", "x"), width=width, height=height)
    example = make_encoder(200).encode(capture)
    assert [use.form for use in example.images] == [run.form]


@given(st.integers(1, 200_000), st.integers(1, 200_000), st.integers(256, 10**7))
def test_only_what_is_too_thin_is_widened_and_never_into_a_giant(height, width, most):
    high, wide = pictures.widened(height, width, most)
    assert not pictures.too_thin(high, wide)
    if not pictures.too_thin(height, width):
        assert (high, wide) == (height, width)
        return
    assert max(high, wide) <= max(height, width)
    assert min(high, wide) == max(min(height, width), -(-max(high, wide) // 200))
    assert high * wide <= max(height * width, 2 * most + 200)


def test_a_line_of_millions_of_pixels_stays_small():
    high, wide = pictures.widened(1, 80_000_000, 50_176)
    assert high * wide < 60_000
