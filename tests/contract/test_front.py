"""The contract of virtual tokens in every family: the library's own model with a larger vocabulary.

That model is the reference: the vectors of the virtual tokens are rows of its own table, and their
ids stand in front of the text's.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from kolm import digest, methods, roles  # noqa: E402
from kolm.adapters.attach import Attached, attach  # noqa: E402
from kolm.adapters.config import saved_tensors  # noqa: E402
from kolm.errors import Refused  # noqa: E402
from kolm.evaluate.session import load_adapter  # noqa: E402
from kolm.format import adapter_config  # noqa: E402
from kolm.format.names import CONFIG, WEIGHTS  # noqa: E402
from kolm.models.base import make_forward  # noqa: E402
from kolm.models.forward import Branches, fronted, logits_of  # noqa: E402
from kolm.spec.options import resolve_method  # noqa: E402
from kolm.train.checkpoints import encode_tensors  # noqa: E402
from kolm.train.survey import digest_tensor  # noqa: E402
from tests.contract import test_family_forward as forward  # noqa: E402
from tests.contract.test_family_forward import EVERY, World  # noqa: E402
from tests.support import families  # noqa: E402

pytestmark = pytest.mark.heavy

COUNT = 3
METHODS = {
    "prompt": {"kind": "prompt"},
    "mlp": {"kind": "p_tuning", "encoder_size": 8},
    "lstm": {"kind": "p_tuning", "encoder_size": 8, "encoder": "lstm"},
}
each_method = pytest.mark.parametrize("options", METHODS.values(), ids=METHODS)
PER_LAYER = "gemma4"  # blocks of this family's small bases have tables of their own
LARGE = "gemma4, large"  # and those of its large ones have none
each_family = pytest.mark.parametrize(
    "name", [LARGE if name == PER_LAYER else name for name in EVERY]
)


def make_world(name: str, scale: float = 1.0) -> World:
    """A model of a family, a new one."""
    if name != LARGE:
        return forward.make_world(name, scale)
    config = families.config(PER_LAYER)
    config.text_config.hidden_size_per_layer_input = 0
    config.text_config.num_kv_shared_layers = 0
    model = families.make_model(PER_LAYER, scale=scale, made_for=config)
    table, base = roles.family(PER_LAYER), families.BASES[PER_LAYER]
    return World(model, make_forward(model, table), families.pictures(PER_LAYER), base.sizes)


def put_on(world: World, options: dict[str, Any]) -> tuple[Attached, dict[str, Any]]:
    """A method on a model of a family, and the lock's block."""
    table = world.pictures.table
    block = resolve_method({**options, "virtual_tokens": COUNT}, table, vision=False)
    attached = attach(
        world.model, table, methods.method_of(block), projector=world.projector,
        adapt_vision=False, seed=digest.of_bytes(b"seed"),
    )  # fmt: skip
    return attached, block


def vectors_of(world: World) -> Any:
    """What stands for the virtual tokens."""
    with torch.no_grad():
        embeddings = world.model.get_input_embeddings()
        return embeddings(torch.tensor(embeddings.virtual_ids))


def enlarged(name: str, vectors: Any) -> World:
    """The same base without an adapter, whose own table has these rows behind the others."""
    world = make_world(name, 4.0)
    table = world.model.get_input_embeddings()
    scale = getattr(table, "embed_scale", torch.tensor(1.0))  # by which a row is multiplied
    table.weight = torch.nn.Parameter(torch.cat([table.weight, vectors / scale]), False)
    return world


def in_front(world: World, batch: Any) -> Any:
    """The batch as that model takes it."""
    size = len(world.model.get_input_embeddings().weight)
    rows = fronted(batch, range(size - COUNT, size))
    return SimpleNamespace(**rows._asdict(), beside=world.beside(rows.input_ids, world.rows))


@each_method
@each_family
def test_hidden_states_and_answers_are_those_of_a_larger_vocabulary(
    name: str, options: dict[str, Any]
) -> None:
    world = make_world(name, 4.0)
    bare = make_world(name, 4.0)
    batch, recording = world.batch(*world.rows), world.recorded_rows()
    left, ends = world.batch(*world.rows, side="left"), {world.tokenizer.eos_token_id}
    attached, _ = put_on(world, options)
    stock = enlarged(name, vectors_of(world))
    with torch.no_grad():
        hidden = world.forward.hidden(batch, recording)
        rows = in_front(stock, batch)
        with stock.replaying(stock.recorded_rows()):
            whole = stock.model.model(**stock.arguments(rows), **stock.shown_rows())
        with attached.model.disable_adapter():
            off = world.forward.hidden(batch, recording)
        assert torch.equal(off, bare.forward.hidden(batch, bare.recorded_rows()))
    real = batch.attention_mask.bool()
    expected = whole.last_hidden_state[:, COUNT:]
    torch.testing.assert_close(hidden[real], expected[real], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(hidden[real], off[real], atol=1e-3)

    answers = world.forward.answer(left, recording, max_new_tokens=12, end_ids=ends)
    rows = in_front(stock, left)
    generated = stock.model.generate(
        **stock.arguments(rows), **stock.shown_rows(), max_new_tokens=12, do_sample=False,
        eos_token_id=sorted(ends), pad_token_id=world.tokenizer.eos_token_id,
    )[:, rows.input_ids.shape[1] :]  # fmt: skip
    for answer, ids in zip(answers, generated.tolist(), strict=True):
        assert list(answer.ids) == ids[: len(answer.ids)]
        assert len(answer.ids) == 12 or answer.ids[-1] in ends


@each_method
@each_family
def test_steps_of_training_reach_all_of_it_and_leave_the_tower_as_it_was(
    name: str, options: dict[str, Any]
) -> None:
    world = make_world(name)
    table = world.pictures.table
    base = {n: p for n, p in world.model.named_parameters() if "lora" not in n}
    vision = {n: p for n, p in base.items() if table.role_of(n) is roles.Role.VISION}
    before = {n: digest_tensor(p) for n, p in vision.items()}
    recording = world.recorded_rows()
    attached, _ = put_on(world, options)
    weights = {t.name: t.parameter.detach().clone() for t in attached.tensors}
    optimizer = torch.optim.AdamW([t.parameter for t in attached.tensors], lr=1e-2)
    batch = world.batch(*world.rows)
    for _ in range(3):
        hidden = world.forward.hidden(batch, recording)
        logits = logits_of(world.model, hidden)[:, :-1].flatten(0, 1)
        labels = batch.input_ids[:, 1:].flatten() % logits.shape[-1]
        loss = torch.nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        assert all(t.parameter.grad.any() for t in attached.tensors)
        optimizer.step()
    assert {n: digest_tensor(p) for n, p in vision.items()} == before
    assert not any(torch.equal(weights[t.name], t.parameter) for t in attached.tensors)
    assert {t.module for t in attached.tensors if not t.whole} == {
        name
        for name, module in attached.base.named_modules()
        if module is attached.base.get_input_embeddings()
    }


@each_method
@each_family
def test_what_is_said_to_load_it_gives_the_logits_of_the_trained_model(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    import peft

    world = make_world(name)
    attached, block = put_on(world, options)
    with torch.no_grad():
        for number, tensor in enumerate(attached.tensors):
            generator = torch.Generator().manual_seed(number)
            noise = torch.randn(tensor.parameter.shape, generator=generator)
            tensor.parameter.add_(noise * 0.1)
    attached.model.requires_grad_(False)  # else torch's matmul may have another order
    whole = {tensor.module for tensor in attached.tensors if tensor.whole}
    rows: Any = [{"module": module, "state": "trained"} for module in whole]
    lock: Any = {"base": {"id": "local/base"}, "train": {"method": block}}
    (tmp_path / CONFIG).write_bytes(adapter_config.derive(lock, rows))
    (tmp_path / WEIGHTS).write_bytes(encode_tensors(saved_tensors(attached.model)))
    batch, recording = world.batch(*world.rows), world.recorded_rows()
    with torch.no_grad():
        expected = logits_of(world.model, world.forward.hidden(batch, recording))
        fresh = make_world(name)
        load_adapter(fresh.model, tmp_path)
        shown = fresh.recorded_rows()
        found = logits_of(fresh.model, fresh.forward.hidden(batch, shown))
        assert torch.equal(found, expected)
        if "PEFT" not in methods.method_of(block).loaders(world.projector):
            with pytest.raises(KeyError):  # aloud, rather than half of it
                peft.PeftModel.from_pretrained(make_world(name).model, tmp_path)
            return
        plain = peft.PeftModel.from_pretrained(make_world(name).model, tmp_path).eval()
        given = plain(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
        real = batch.attention_mask.bool()
        torch.testing.assert_close(given[:, COUNT:][real], found[real], atol=1e-5, rtol=1e-5)


@each_method
def test_a_base_with_a_table_in_each_block_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        put_on(make_world(PER_LAYER), options)
    assert refused.value.code == "E_ADAPTER_TARGETS"
    assert roles.family(PER_LAYER).own_tables({})  # as the library's default has it
    assert not roles.family(PER_LAYER).own_tables(
        {"text_config": {"hidden_size_per_layer_input": 0}}
    )


def test_virtual_tokens_stand_between_padding_and_a_rows_own() -> None:
    from types import SimpleNamespace

    ids = torch.tensor([[0, 0, 5, 9], [6, 7, 8, 9]])
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    batch: Any = SimpleNamespace(
        input_ids=ids, attention_mask=mask, image_mask=(ids == 9).long(), answer_mask=mask,
        branches=Branches(mask * 2, mask * 3),
    )  # fmt: skip
    found = fronted(batch, (90, 91))
    assert found.input_ids.tolist() == [[0, 0, 90, 91, 5, 9], [90, 91, 6, 7, 8, 9]]
    assert found.attention_mask.tolist() == [[0, 0, 1, 1, 1, 1], [1] * 6]
    assert found.image_mask.tolist() == [[0, 0, 0, 0, 0, 1]] * 2
    assert found.answer_mask.tolist() == [[0, 0, 0, 0, 1, 1], [0, 0, 1, 1, 1, 1]]
    assert found.branches is not None
    assert found.branches.owners.tolist() == [[0, 0, 0, 0, 2, 2], [0, 0, 2, 2, 2, 2]]
    assert found.branches.restarts.tolist() == [[0, 0, 0, 0, 3, 3], [0, 0, 3, 3, 3, 3]]
