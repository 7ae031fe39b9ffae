"""Supervised fine-tuning: the compact loss is the full loss, whatever stands beside an example."""

from dataclasses import replace

import pytest

from kolm.encode.batches import collate
from kolm.encode.encoder import Encoder
from kolm.models.likelihood import cross_entropy, label_logits
from kolm.models.taps import Recording, join
from tests.support import tiny_vlm
from tests.support.tiny_vlm import make_capture

torch = pytest.importorskip("torch")
PROCESSOR = tiny_vlm.make_pictures()


def make_examples():
    encoder = Encoder(PROCESSOR, max_seq_length=300, max_images=4)
    captures = [
        make_capture(("user", [0, "what?"]), ("assistant", "a red circle"), width=48),
        make_capture(("user", ["see", 0, "and", 1]), ("assistant", "no"), images=2),
        make_capture(("user", "nothing to see"), ("assistant", "so be it"), images=0),
        make_capture(("user", [0, "a"]), ("assistant", "b"), ("user", "c"), ("assistant", "d")),
    ]
    return [encoder.encode(capture, position=i) for i, capture in enumerate(captures)]


def make_base(model=None):
    model = tiny_vlm.make_model() if model is None else model
    return tiny_vlm.loaded(model)


def make_batch(examples):
    return collate(examples, image_token_id=tiny_vlm.IMAGE, pad_token_id=tiny_vlm.PAD)


def shown(batch):
    """What the tower is shown for the pictures of a batch, None without any."""
    parts = []
    for use in batch.images:
        wide, high = (48, 32) if use.form[2] == 6 else (32, 32)
        picture = tiny_vlm.make_picture(int(use.pixels[-3:], 16), wide, high)
        inputs, _ = PROCESSOR.inputs(picture)
        parts.append(Recording(pictures=1, inputs=inputs))
    return join(parts) if parts else None


def stock_loss(model, batch):
    """The library's own forward pass with labels everywhere it wants them."""
    labels = torch.full_like(batch.input_ids, -100).reshape(-1)
    labels[batch.label_rows + 1] = batch.label_ids
    return model(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        mm_token_type_ids=batch.image_mask,
        labels=labels.view_as(batch.input_ids),
        **(shown(batch).inputs if batch.images else {}),
    ).loss


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def test_the_compact_loss_and_its_gradients_are_the_librarys():
    base, batch = make_base(), make_batch(make_examples())
    base.model.requires_grad_(True)
    full = stock_loss(base.model, batch)
    expected = gradients(base.model, full)
    total = cross_entropy(base, batch, shown(batch))
    compact = total / len(batch.label_ids)
    assert torch.allclose(compact, full, atol=1e-6)
    found = gradients(base.model, compact)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        assert torch.allclose(gradient, expected[name], atol=1e-6), name


def test_logits_are_computed_at_the_labels_alone():
    base, batch = make_base(), make_batch(make_examples())
    rows = []
    hook = base.model.lm_head.register_forward_hook(lambda m, i, out: rows.append(out.shape[0]))
    cross_entropy(base, batch, shown(batch))
    hook.remove()
    assert rows == [len(batch.label_ids)]


def test_the_loss_of_a_batch_is_the_sum_of_its_examples():
    base, examples = make_base(), make_examples()
    batches = [make_batch(examples), *(make_batch([example]) for example in examples)]
    with torch.no_grad():
        together, *alone = [cross_entropy(base, batch, shown(batch)) for batch in batches]
    assert torch.allclose(together, torch.stack(alone).sum(), atol=1e-4)


def test_features_of_one_example_never_reach_another():
    base, examples = make_base(), make_examples()
    batch = make_batch(examples)
    pixels = shown(batch).inputs["pixel_values"].clone()
    pixels[: batch.images[0].tokens * 4] += 1.0
    changed = replace(shown(batch), inputs={**shown(batch).inputs, "pixel_values": pixels})
    with torch.no_grad():
        before = label_logits(base, batch, shown(batch))
        after = label_logits(base, batch, changed)
    own = examples[0].label_tokens
    assert not torch.equal(before[:own], after[:own])
    assert torch.equal(before[own:], after[own:])
