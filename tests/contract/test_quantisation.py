"""A base whose language role is in 4 bits: each family and method, and the audit of a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kolm import canonical, digest, methods, roles
from kolm.errors import Refused
from kolm.format import adapter_config
from kolm.format.card import LIBRARY_BLOCK_SIZE
from kolm.format.names import CONFIG, WEIGHTS
from kolm.methods.quantisation import quantisation_of
from kolm.records.codec import to_document
from kolm.records.verification import Verdict
from kolm.roles import Role, family
from kolm.spec import load_spec
from kolm.spec.options import resolve_method, resolve_quantisation
from tests.support.audits import World
from tests.support.bundles import BundleParts

TABLE = family("qwen2_5_vl")
NF4 = resolve_quantisation({"kind": "nf4"}, TABLE)
FORMS = [
    pytest.param({"kind": kind, "double": double}, id=f"{kind}{'-double' if double else ''}")
    for kind in ("nf4", "fp4")
    for double in (True, False)
]


# -- without torch


def test_a_name_alone_takes_the_papers_settings() -> None:
    start = {"kolm": 1, "name": "x", "base": "b", "data": {"captures": "c"}}
    chosen = load_spec({**start, "train": {"quantisation": "nf4"}}).train.quantisation
    assert chosen is not None
    assert resolve_quantisation(chosen, TABLE) == NF4
    assert (NF4.double, NF4.block_size) == (True, 64)
    assert quantisation_of(to_document(NF4)) == NF4
    assert quantisation_of(None) is None


def test_dora_on_a_quantised_base_is_a_conflict() -> None:
    start = {"kolm": 1, "name": "x", "base": "b", "data": {"captures": "c"}}
    train = {"quantisation": "nf4", "method": {"kind": "lora", "dora": True}}
    with pytest.raises(Refused) as caught:
        load_spec({**start, "train": train})
    assert caught.value.code == "E_SPEC_CONFLICT"


# -- a bundle under audit


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World.make(tmp_path_factory.mktemp("quantised"))
    made.parts.quantise()
    return made


@pytest.fixture
def forged(world: World) -> BundleParts:
    return world.parts.copy()


def weights(parts: BundleParts, role: str) -> list[dict[str, Any]]:
    rows = [row for row in parts.modules if row["role"] == role]
    return [p for row in rows for p in row["parameters"] if p["name"] == "weight"]


def test_an_honest_bundle_is_accepted_with_its_base_and_says_what_it_is_on(world: World) -> None:
    answers = world.audit(world.parts, base=world.parts.base)
    assert answers.overall is Verdict.OK
    members = world.parts.members()
    receipt = canonical.loads(world.parts.receipt(), where="receipt.json")
    assert receipt["vlm_train"]["quantisation"] == to_document(NF4)
    card = bytes(members["README.md"]).decode()
    assert "| Base | language role in nf4, scales in 8 bits, blocks of 64 |" in card
    assert 'bnb_4bit_quant_type="nf4"' in card
    assert "trained on blocks" not in card
    other = world.parts.copy()
    other.quantise(block_size=128)
    assert world.audit(other).overall is Verdict.OK
    card = bytes(other.members()["README.md"]).decode()
    assert "trained on blocks of 128; transformers makes blocks of 64" in card


@pytest.mark.parametrize("role", ["vision", "projector", "head"])
def test_a_quantised_weight_of_another_role_is_refused(
    world: World, forged: BundleParts, role: str
) -> None:
    some = next(p["quantised"] for p in weights(forged, "language") if "quantised" in p)
    weights(forged, role)[0]["quantised"] = dict(some)
    assert "V28" in world.audit(forged).failed


def test_a_language_weight_that_was_not_quantised_is_refused(
    world: World, forged: BundleParts
) -> None:
    del next(p for p in weights(forged, "language") if "quantised" in p)["quantised"]
    assert "V28" in world.audit(forged).failed


@pytest.mark.parametrize(
    ("field", "value"), [("kind", "fp4"), ("double", False), ("block_size", 128)]
)
def test_a_weight_in_another_form_than_the_locks_is_refused(
    world: World, forged: BundleParts, field: str, value: object
) -> None:
    next(p for p in weights(forged, "language") if "quantised" in p)["quantised"][field] = value
    assert "V28" in world.audit(forged).failed


def test_quantised_weights_under_a_lock_without_quantisation_are_refused(
    world: World, forged: BundleParts
) -> None:
    forged.lock["train"]["quantisation"] = None
    assert "V28" in world.audit(forged).failed


def test_another_expression_of_what_is_quantised_is_refused(
    world: World, forged: BundleParts
) -> None:
    forged.lock["train"]["quantisation"]["target_expression"] = ".+"
    assert "V28" in world.audit(forged).failed


def test_a_quantised_weight_that_changed_is_refused(world: World, forged: BundleParts) -> None:
    held = next(p for p in weights(forged, "language") if "quantised" in p)["quantised"]
    held["after"] = digest.EMPTY
    assert "V29" in world.audit(forged).failed


def test_moments_that_are_not_held_as_the_optimizer_does_are_refused(
    world: World, forged: BundleParts
) -> None:
    row = next(row for row in forged.modules if row["adapter"])
    row["adapter"][0]["moments"] = "U8"
    assert "V29" in world.audit(forged).failed


# -- with bitsandbytes


@pytest.fixture
def torch() -> Any:
    pytest.importorskip("bitsandbytes")
    return pytest.importorskip("torch")


def layer_of(torch: Any, out: int, into: int, dtype: Any, options: dict[str, Any]) -> Any:
    from kolm.models.four_bits import Linear4bit

    torch.manual_seed(3)
    plain = torch.nn.Linear(into, out).to(dtype)
    weight = plain.weight.detach().clone()
    return Linear4bit(plain, resolve_quantisation(options, TABLE)), weight


@pytest.mark.parametrize("options", FORMS)
@pytest.mark.parametrize("into", [48, 64, 96, 128, 1376])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_weight_is_read_as_it_was_stored_whatever_its_width(
    torch: Any, options: dict[str, Any], into: int, precision: str
) -> None:
    """The relative error of 4 bits with one scale for 64 numbers is some 0.1 (uniform numbers)."""
    dtype = getattr(torch, precision)
    layer, weight = layer_of(torch, 24, into, dtype, options)
    read = layer.dequantised()
    assert read.dtype == dtype
    assert float((read - weight).float().norm() / weight.float().norm()) < 0.13
    hidden = torch.randn(3, 5, into, dtype=dtype, requires_grad=True)
    out = layer(hidden)
    assert torch.equal(out, torch.nn.functional.linear(hidden, read, layer.bias))
    out.sum().backward()
    assert torch.equal(hidden.grad, torch.ones_like(out) @ read)


def test_nothing_that_a_weight_is_stored_in_changes_in_evaluation(torch: Any) -> None:
    """The library packs weights into another form when they are first read without a gradient."""
    layer, _ = layer_of(torch, 64, 128, torch.bfloat16, {"kind": "nf4"})
    before = [tensor.clone() for tensor in layer.stored()]
    layer.eval()
    with torch.no_grad():
        layer(torch.randn(2, 128, dtype=torch.bfloat16))
    assert all(map(torch.equal, before, layer.stored()))


def wide_base(folder: Path) -> Path:
    """A tiny base with rows of whole blocks, which the library reads rightly."""
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    from tests.support import tiny_vlm

    config = tiny_vlm.make_config()
    text, vision = config.text_config, config.vision_config
    text.hidden_size, text.intermediate_size, vision.out_hidden_size = 64, 128, 64
    text.rope_parameters["mrope_section"] = [2, 3, 3]
    torch.manual_seed(0)
    Qwen2_5_VLForConditionalGeneration(config).save_pretrained(folder)
    tiny_vlm.make_tokenizer().save_pretrained(folder)
    tiny_vlm.make_image_processor().save_pretrained(folder)
    return folder


@pytest.mark.heavy
@pytest.mark.parametrize(
    "options", [*FORMS, pytest.param({"kind": "nf4", "block_size": 128}, id="nf4-128")]
)
def test_transformers_holds_the_base_of_the_card_in_the_same_bits_and_peft_the_adapter(
    torch: Any, options: dict[str, Any], tmp_path: Path
) -> None:
    """In blocks of its own size; from another the adapter opens too, a little off."""
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText, BitsAndBytesConfig

    from kolm.adapters.attach import attach
    from kolm.models.base import load_base
    from kolm.train.checkpoints import encode_tensors

    folder = wide_base(tmp_path / "base")
    wanted = resolve_quantisation(options, TABLE)
    ours = load_base(folder, dtype="float32", quantisation=wanted).model
    theirs = AutoModelForImageTextToText.from_pretrained(
        folder,
        dtype="float32",
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=wanted.kind,
            bnb_4bit_use_double_quant=wanted.double,
            bnb_4bit_compute_dtype="float32",
            llm_int8_skip_modules=[rf"(?!(?:{wanted.target_expression})$).*"],
        ),
    )
    mine, other = ours.state_dict(), theirs.state_dict()
    assert mine.keys() == other.keys()
    same = wanted.block_size == LIBRARY_BLOCK_SIZE
    assert all(torch.equal(mine[name], other[name]) for name in mine) == same
    for module in theirs.modules():  # where it is on, the library multiplies in bfloat16
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    ids = torch.tensor([[1, 2, 3, 4, 5, 6]])
    with torch.no_grad():
        assert torch.equal(ours(input_ids=ids).logits, theirs(input_ids=ids).logits) == same
    block = resolve_method({"kind": "lora"}, TABLE, vision=False)
    attached = attach(
        ours, TABLE, methods.method_of(block), projector="full", adapt_vision=False,
        seed=digest.of_bytes(b"seed"),
    )  # fmt: skip
    with torch.no_grad():
        for tensor in attached.tensors:
            tensor.parameter.add_(torch.randn_like(tensor.parameter) * 0.1)
    named = {tensor.name: tensor.parameter for tensor in attached.tensors}
    rows = [
        {"module": module, "state": "trained", "role": "projector"}
        for module in sorted({tensor.module for tensor in attached.tensors if tensor.whole})
    ]
    lock = {"base": {"id": "local/tiny"}, "train": {"method": block}}
    (tmp_path / CONFIG).write_bytes(adapter_config.derive(lock, rows))
    (tmp_path / WEIGHTS).write_bytes(encode_tensors(named))
    loaded = PeftModel.from_pretrained(theirs, tmp_path).eval()
    with torch.no_grad():
        answered = loaded(input_ids=ids).logits
        trained = attached.model(input_ids=ids).logits
        assert torch.equal(answered, trained) == same
        assert (answered - trained).norm() < 0.1 * trained.norm()
        with loaded.disable_adapter():
            assert not torch.allclose(answered, loaded(input_ids=ids).logits, atol=1e-3)


@pytest.mark.heavy
@pytest.mark.parametrize("name", sorted(roles.FAMILIES))
@pytest.mark.parametrize("kind", methods.METHODS)
def test_three_steps_on_a_quantised_base_of_each_family(torch: Any, name: str, kind: str) -> None:
    from kolm.adapters.attach import attach
    from kolm.models.four_bits import Linear4bit
    from kolm.train.evidence import check_evidence
    from kolm.train.survey import digest_tensor, digests_now, quantise, survey_base
    from tests.contract import test_family_forward as families

    world = families.make_world(name)
    table = family(name)
    linear = {
        layer for layer, module in world.model.named_modules()
        if isinstance(module, torch.nn.Linear) and layer.startswith(f"{table.language.blocks}.")
    }  # fmt: skip
    assert {table.role_of(layer) for layer in linear} == {Role.LANGUAGE}
    modules = quantise(
        survey_base(world.model, table),
        families_quantised(world.model, table),
    )
    held = {n for n, module in world.model.named_modules() if isinstance(module, Linear4bit)}
    assert held == linear
    recording = world.recorded_rows()
    if kind == "prefix" and name == "phi3":  # its values are made with others
        with pytest.raises(Refused) as caught:
            resolve_method({"kind": kind}, table, vision=False)
        assert caught.value.code == "E_ADAPTER_TARGETS"
        return
    method = methods.method_of(resolve_method({"kind": kind}, table, vision=False))
    if method.front and name == "gemma4":  # its blocks look tokens up themselves
        with pytest.raises(Refused) as caught:
            attach(
                world.model, table, method, projector=world.projector, adapt_vision=False,
                seed=digest.of_bytes(b"seed"),
            )  # fmt: skip
        assert caught.value.code == "E_ADAPTER_TARGETS"
        return
    attached = attach(
        world.model, table, method, projector=world.projector, adapt_vision=False,
        seed=digest.of_bytes(b"seed"),
    )  # fmt: skip
    before = {t.name: digest_tensor(t.parameter) for t in attached.tensors}
    optimizer = torch.optim.AdamW([t.parameter for t in attached.tensors], lr=1e-2)
    batch = world.batch(*world.rows)
    for _ in range(3):
        hidden = world.forward.hidden(batch, recording)
        logits = world.model.get_output_embeddings()(hidden)[:, :-1].flatten(0, 1)
        labels = batch.input_ids[:, 1:].flatten() % logits.shape[-1]
        loss = torch.nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    check_evidence(
        modules, digests_now(modules), attached.tensors, dict.fromkeys(before, 3), before
    )
    found = {t.module for t in attached.tensors if not t.whole}
    assert found <= linear if not method.front else len(found) == 1


def families_quantised(model: Any, table: roles.Family) -> Any:
    from kolm.models.base import quantised

    return quantised(model, table, resolve_quantisation({"kind": "nf4"}, table))
