"""What is trained of the projector: LoRA on its linear layers, in every family and under audit."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kolm import canonical, digest, methods, roles
from kolm.bundle.base_root import base_root
from kolm.errors import Refused
from kolm.format import adapter_config
from kolm.format.names import CONFIG, RECEIPT, WEIGHTS
from kolm.methods.projector import in_projector, linear_layers
from kolm.records.verification import Verdict
from kolm.roles import family
from kolm.roles.checkpoints import parameter_of
from kolm.spec import load_spec
from kolm.spec.options import resolve_method
from tests.support.audits import World
from tests.support.bundles import BundleParts
from tests.support.toy_base import floats

TABLE = family("qwen2_5_vl")
SEEING = sorted(name for name, table in roles.FAMILIES.items() if table.takes_pictures)
START = {"kolm": 1, "name": "x", "base": "b", "data": {"captures": "c"}}
LAYER = "model.visual.merger.mlp.0"


def test_another_method_does_not_go_with_lora_on_the_projector() -> None:
    for method in ("ia3", {"kind": "ia3"}):
        with pytest.raises(Refused) as caught:
            load_spec({**START, "train": {"projector": "lora", "method": method}})
        assert caught.value.code == "E_SPEC_CONFLICT"
    assert load_spec({**START, "train": {"projector": "lora"}}).train.projector == "lora"


# -- a bundle under audit


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("projector"), projector="lora")


@pytest.fixture
def forged(world: World) -> BundleParts:
    return world.parts.copy()


def row_of(parts: BundleParts, module: str) -> dict[str, Any]:
    return next(row for row in parts.modules if row["module"] == module)


def test_an_honest_bundle_is_accepted_with_its_base_and_says_so(world: World) -> None:
    answers = world.audit(world.parts, base=world.parts.base)
    assert answers.overall is Verdict.OK
    members = world.parts.members()
    receipt = canonical.loads(world.parts.receipt(), where=RECEIPT)
    assert receipt["vlm_train"]["projector"] == "lora"
    config = canonical.loads(bytes(members[CONFIG]), where=CONFIG, floats=True)
    assert config["modules_to_save"] is None
    assert "merger" in config["target_modules"]
    card = bytes(members["README.md"]).decode()
    assert "| Projector | its linear layers adapted |" in card
    assert "| Opens in | kolm, PEFT, vLLM with LoRA on the connector |" in card


@pytest.mark.parametrize("projector", ["full", "frozen"])
def test_deltas_in_a_projector_that_the_lock_does_not_adapt_are_refused(
    world: World, forged: BundleParts, projector: str
) -> None:
    forged.lock["train"]["projector"] = projector
    assert "V22" in world.audit(forged).failed


def test_whole_weights_in_an_adapted_projector_are_refused(
    world: World, forged: BundleParts
) -> None:
    forged.tensors[f"base_model.model.{LAYER}.bias"] = floats("whole", (8,))
    assert "V24" in world.audit(forged).failed


def test_an_adapted_layer_that_is_left_out_is_refused(world: World, forged: BundleParts) -> None:
    row = row_of(forged, LAYER)
    for tensor in row["adapter"]:
        del forged.tensors[tensor["tensor"]]
    row |= {"state": "frozen", "adapter": [], "weight_norm": None}
    assert "V22" in world.audit(forged).failed


def test_a_norm_that_passes_for_a_layer_is_refused(world: World, forged: BundleParts) -> None:
    """The form of its weight decides, and that is the checkpoint's."""
    row = row_of(forged, "model.visual.merger.ln_q")
    row["parameters"][0]["shape"] = [1, row["parameters"][0]["shape"][0]]
    assert world.audit(forged, base=forged.base).failed >= {"V22", "V42"}


# -- with PEFT


@pytest.mark.heavy
@pytest.mark.parametrize("name", SEEING)
def test_deltas_are_on_all_linear_layers_of_a_projector_and_plain_peft_loads_them(
    name: str, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    peft = pytest.importorskip("peft")
    from kolm.actions import prechecks
    from kolm.adapters.attach import attach
    from kolm.train.checkpoints import encode_tensors
    from tests.contract import test_family_forward as families
    from tests.support.families import save

    world, table = families.make_world(name), family(name)
    block = resolve_method({"kind": "lora"}, table, vision=False)
    linear = {
        layer for layer, module in world.model.named_modules()
        if isinstance(module, torch.nn.Linear) and in_projector(layer, table)
    }  # fmt: skip
    batch, shown = world.batch(*families.ROWS), world.recorded(0, 1, 2)
    with torch.no_grad():
        untouched = world.forward.hidden(batch, shown)
    method, seed = methods.method_of(block), digest.of_bytes(b"seed")
    facts = base_root(save(name, tmp_path / "base"))
    stored = [(parameter_of(table, tensor.key), tensor.shape) for tensor in facts.tensors]
    assert set(linear_layers(stored, table)) == linear  # what is known before torch is loaded
    ahead = SimpleNamespace(
        lock={"train": {"projector": "lora"}, "base": {"family": name}},
        prepared=SimpleNamespace(facts=facts),
    )
    with contextlib.nullcontext() if linear else pytest.raises(Refused):
        assert list(prechecks._projector(ahead)) == []
    if not linear:  # Gemma-3 projects with a bare matrix
        with pytest.raises(Refused) as caught:
            attach(world.model, table, method, projector="lora", adapt_vision=False, seed=seed)
        assert caught.value.code == "E_ADAPTER_TARGETS"
        return
    attached = attach(world.model, table, method, projector="lora", adapt_vision=False, seed=seed)
    assert {t.module for t in attached.tensors if t.projector} == linear
    assert not any(t.whole for t in attached.tensors)
    world.forward.hidden(batch, shown).square().sum().backward()
    torch.manual_seed(1)
    with torch.no_grad():
        for tensor in attached.tensors:
            assert ".lora_A." in tensor.name or bool(tensor.parameter.grad.any()), tensor.name
            tensor.parameter.add_(torch.randn_like(tensor.parameter) * 0.1)
    attached.model.requires_grad_(False)  # else torch's matmul may have another order
    rows = [
        {"module": module, "state": "adapted", "role": table.role_of(module).value}
        for module in {tensor.module for tensor in attached.tensors}
    ]
    lock = {"base": {"id": "local/tiny"}, "train": {"method": block}}
    (tmp_path / CONFIG).write_bytes(adapter_config.derive(lock, rows))
    named = {tensor.name: tensor.parameter for tensor in attached.tensors}
    (tmp_path / WEIGHTS).write_bytes(encode_tensors(named))
    other = families.make_world(name)
    loaded = peft.PeftModel.from_pretrained(other.model, tmp_path).eval()
    with torch.no_grad():
        answered = world.forward.hidden(batch, shown)
        assert torch.equal(other.forward.hidden(batch, other.recorded(0, 1, 2)), answered)
        assert not torch.allclose(answered, untouched, atol=1e-3)
        with loaded.disable_adapter():
            assert torch.equal(other.forward.hidden(batch, other.recorded(0, 1, 2)), untouched)
