"""Batches: padding that changes nothing, and where images and labels lie."""

import pytest

from kolm.encode.batches import collate
from kolm.encode.encoder import Encoder
from tests.support import tiny_vlm
from tests.support.tiny_vlm import make_capture

torch = pytest.importorskip("torch")


def examples():
    encoder = Encoder(
        tiny_vlm.make_pictures(),
        max_seq_length=300,
        max_images=4,
    )
    captures = [
        make_capture(("user", [0, "what?"]), ("assistant", "red"), width=48),
        make_capture(("user", ["see", 0, "and", 1, "?"]), ("assistant", "no"), images=2),
        make_capture(("user", "no picture at all"), ("assistant", "so"), images=0),
        make_capture(
            ("user", [0, "a"]), ("assistant", "b"), ("user", ["c", 1]), ("assistant", "d"),
            images=2, width=32, height=64,
        ),
    ]  # fmt: skip
    return [encoder.encode(capture, position=i) for i, capture in enumerate(captures)]


def make_batch(side, pad_token_id=tiny_vlm.PAD):
    return collate(
        examples(),
        image_token_id=tiny_vlm.IMAGE,
        pad_token_id=pad_token_id,
        side=side,
    )


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("pad_token_id", [tiny_vlm.PAD, tiny_vlm.END], ids=["own", "as an end"])
def test_rows_point_at_images_and_labels(side, pad_token_id):
    batch, singles = make_batch(side, pad_token_id), examples()
    flat = batch.input_ids.reshape(-1)
    assert torch.equal(batch.image_mask.flatten() == 1, flat == tiny_vlm.IMAGE)
    assert torch.equal(flat[batch.label_rows + 1], batch.label_ids)
    assert len(batch.label_ids) == sum(example.label_tokens for example in singles)
    assert (batch.label_ids == tiny_vlm.END).sum() == sum(len(one.trained) for one in singles)
    assert batch.images == tuple(use for example in singles for use in example.images)
    assert batch.real_tokens == sum(len(example.input_ids) for example in singles)
    assert batch.positions == (0, 1, 2, 3)
    answered = batch.answer_mask.flatten()
    assert answered[batch.label_rows + 1].all()
    before = (batch.attention_mask.flatten() == 1) & (answered == 0)
    assert int(before.sum()) == sum(example.trained[0][0] for example in singles)


def test_an_answer_begins_where_the_first_one_does_in_a_prompt_too():
    turns = ("user", [0, "a"]), ("assistant", "b"), ("user", "c"), ("assistant", "d")
    encoder = Encoder(tiny_vlm.make_pictures(), max_seq_length=300, max_images=4)
    example = encoder.encode(make_capture(*turns))
    assert example.prefix == example.trained[0][0]
    assert encoder.encode_prompt(make_capture(*turns)).prefix == example.prefix
    first = encoder.encode_prompt(make_capture(*turns[:2]))
    assert first.prefix == len(first.input_ids) == example.prefix


def test_padding_is_on_the_side_that_was_asked_for():
    right, left = make_batch("right"), make_batch("left")
    assert right.attention_mask[:, 0].all()
    assert left.attention_mask[:, -1].all()
    assert torch.equal(right.input_ids[right.attention_mask.bool()],
                       left.input_ids[left.attention_mask.bool()])  # fmt: skip
