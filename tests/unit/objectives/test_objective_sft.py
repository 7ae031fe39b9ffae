"""Supervised fine-tuning: the compact loss is the full loss, whatever stands beside an example."""

import pytest

from kolm.encode.batches import collate
from kolm.encode.encoder import Encoder
from kolm.models.family import runtime
from kolm.objectives import sft
from tests.support import tiny_vlm
from tests.support.tiny_vlm import make_capture

torch = pytest.importorskip("torch")
FAMILY = runtime("qwen2_5_vl")
PROCESSOR = tiny_vlm.make_image_processor()


def make_examples():
    encoder = Encoder(
        tiny_vlm.make_processor(), FAMILY, image_token_id=tiny_vlm.IMAGE,
        max_seq_length=300, max_images=4,
    )  # fmt: skip
    captures = [
        make_capture(("user", [0, "what?"]), ("assistant", "a red circle"), width=48),
        make_capture(("user", ["see", 0, "and", 1]), ("assistant", "no"), images=2),
        make_capture(("user", "nothing to see"), ("assistant", "so be it"), images=0),
        make_capture(("user", [0, "a"]), ("assistant", "b"), ("user", "c"), ("assistant", "d")),
    ]
    return [encoder.encode(capture, position=i) for i, capture in enumerate(captures)]


def make_batch(examples):
    return collate(
        examples, FAMILY, merge=2, image_token_id=tiny_vlm.IMAGE, pad_token_id=tiny_vlm.PAD
    )


def pixels_of(use):
    wide, high = (48, 32) if use.grid[2] == 6 else (32, 32)
    picture = tiny_vlm.make_picture(int(use.pixels[-3:], 16), wide, high)
    return FAMILY.pixel_values(PROCESSOR, picture, None)[0]


def embedder(model):
    def embed(batch):
        pixels = torch.cat([pixels_of(use) for use in batch.images])
        return FAMILY.live_features(model, pixels, [use.grid for use in batch.images])

    return embed


def stock_loss(model, batch):
    """The library's own forward pass with labels everywhere it wants them."""
    labels = torch.full_like(batch.input_ids, -100).reshape(-1)
    labels[batch.label_rows + 1] = batch.label_ids
    images = {}
    if batch.images:
        images = {
            "pixel_values": torch.cat([pixels_of(use) for use in batch.images]),
            "image_grid_thw": torch.tensor([use.grid for use in batch.images]),
        }
    return model(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        mm_token_type_ids=batch.mm_token_type_ids,
        labels=labels.view_as(batch.input_ids),
        **images,
    ).loss


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def test_the_compact_loss_and_its_gradients_are_the_librarys():
    model = tiny_vlm.make_model()
    model.requires_grad_(True)
    batch = make_batch(make_examples())
    full = stock_loss(model, batch)
    expected = gradients(model, full)
    total = sft.summed_loss(model, FAMILY, batch, embedder(model))
    compact = total / len(batch.label_ids)
    assert torch.allclose(compact, full, atol=1e-6)
    found = gradients(model, compact)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        assert torch.allclose(gradient, expected[name], atol=1e-6), name


def test_logits_are_computed_at_the_labels_alone():
    model, batch = tiny_vlm.make_model(), make_batch(make_examples())
    rows = []
    hook = model.lm_head.register_forward_hook(lambda m, i, out: rows.append(out.shape[0]))
    sft.summed_loss(model, FAMILY, batch, embedder(model))
    hook.remove()
    assert rows == [len(batch.label_ids)]


def test_the_loss_of_a_batch_is_the_sum_of_its_examples():
    model, examples = tiny_vlm.make_model(), make_examples()
    with torch.no_grad():
        together = sft.summed_loss(model, FAMILY, make_batch(examples), embedder(model))
        alone = [
            sft.summed_loss(model, FAMILY, make_batch([example]), embedder(model))
            for example in examples
        ]
    assert torch.allclose(together, torch.stack(alone).sum(), atol=1e-4)


def test_features_of_one_example_never_reach_another():
    model, examples = tiny_vlm.make_model(), make_examples()
    batch = make_batch(examples)
    with torch.no_grad():
        features = embedder(model)(batch)
        changed = features.clone()
        changed[: batch.images[0].tokens] += 1.0
        before = sft.label_logits(model, FAMILY, batch, lambda _: features)
        after = sft.label_logits(model, FAMILY, batch, lambda _: changed)
    own = examples[0].label_tokens
    assert not torch.equal(before[:own], after[:own])
    assert torch.equal(before[own:], after[own:])


def test_the_language_model_sees_the_positions_of_the_batch():
    model, batch = tiny_vlm.make_model(), make_batch(make_examples())
    seen = []
    hook = model.model.language_model.rotary_emb.register_forward_pre_hook(
        lambda module, args: seen.append(args[1])
    )
    sft.summed_loss(model, FAMILY, batch, embedder(model))
    hook.remove()
    assert torch.equal(seen[0], batch.position_ids)
