"""Qwen2.5-VL by our own code gives what the library's gives, to the last bit."""

import pytest

from kolm.encode.batches import collate
from kolm.encode.encoder import Encoder
from kolm.models.base import make_forward
from kolm.models.forward import LibraryForward
from kolm.models.qwen2_5_vl import WrittenForward
from kolm.models.taps import Recording, join
from kolm.roles import family
from tests.support import tiny_vlm
from tests.support.tiny_vlm import make_capture

torch = pytest.importorskip("torch")
TABLE = family("qwen2_5_vl")
PROCESSOR = tiny_vlm.make_pictures()
SIZES = {(1, 4, 4): (32, 32), (1, 4, 6): (48, 32), (1, 8, 4): (32, 64)}


def examples():
    encoder = Encoder(PROCESSOR, max_seq_length=300, max_images=4)
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


def make_batch(side):
    return collate(examples(), image_token_id=tiny_vlm.IMAGE, pad_token_id=tiny_vlm.PAD, side=side)


def inputs_of(use):
    picture = tiny_vlm.make_picture(int(use.pixels[-3:], 16), *SIZES[use.form[:3]])
    return PROCESSOR.inputs(picture)[0]


def both(**options):
    """Our forward pass and the library's, of one model."""
    model = tiny_vlm.make_model(**options)
    written = make_forward(model, TABLE)
    assert isinstance(written, WrittenForward)
    return written, LibraryForward(model, written.tower)


@pytest.mark.parametrize("side", ["right", "left"])
def test_positions_are_those_of_the_library(side):
    written, _ = both()
    batch = make_batch(side)
    pictures = join([Recording(pictures=1, inputs=inputs_of(use)) for use in batch.images])
    found = written._positions(batch, pictures)
    expected, _ = written._model.model.get_rope_index(
        batch.input_ids,
        mm_token_type_ids=batch.image_mask,
        image_grid_thw=pictures.inputs["image_grid_thw"],
        attention_mask=batch.attention_mask,
    )
    real = batch.attention_mask.bool()
    assert torch.equal(found[:, real], expected[:, real])
    # Not one-dimensional: without the token types the library silently counts 0, 1, 2, …
    assert not torch.equal(found[1], found[2])


@pytest.mark.parametrize("window", [64, 32], ids=["one window", "windows in another order"])
def test_features_and_hidden_states_have_the_librarys_bits(window):
    written, library = both(window_size=window, full_blocks=(1,))
    batch = make_batch("right")
    pictures = join([written.tower.record(inputs_of(use), 1) for use in batch.images])
    with torch.no_grad():
        assert torch.equal(written.features(pictures), library.features(pictures))
        ours, theirs = (way.hidden(batch, pictures) for way in (written, library))
    real = batch.attention_mask.bool()
    assert torch.equal(ours[real], theirs[real])


def test_windows_lie_in_another_order_than_the_image_is_read():
    written, library = both(window_size=32, full_blocks=(1,))
    picture = tiny_vlm.make_picture(1, 64, 48)
    inputs, _ = PROCESSOR.inputs(picture)
    recording = written.tower.record(inputs, 1)
    with torch.no_grad():
        unordered = written._model.model.visual.merger(recording.outputs[0])
        assert not torch.allclose(unordered, library.features(recording))
