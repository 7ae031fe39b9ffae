"""What every method does, whichever it is: a line in the table inherits this."""

from __future__ import annotations

import copy
import math
import re
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest

from kolm import canonical, digest, methods, whole_schema
from kolm.errors import Refused
from kolm.format import adapter_config
from kolm.format.names import CONFIG, RECEIPT, WEIGHTS
from kolm.methods import DeltaTensor, StoredTensor, UnknownTensor, WholeTensor
from kolm.methods.refused import REFUSED
from kolm.records.codec import to_document
from kolm.records.verification import Verdict
from kolm.roles import family
from kolm.spec import load_spec
from kolm.spec.options import resolve_method
from tests.support.audits import World
from tests.support.bundles import BundleParts
from tests.support.lines import QUESTION, STEPS, Line, coloured, square
from tests.support.toy_base import floats
from tests.support.toy_documents import name_of

TABLE = family("qwen2_5_vl")
each_method = pytest.mark.parametrize("kind", methods.METHODS)
Row = dict[str, Any]


def block_of(kind: str, *, vision: bool = False, **options: Any) -> Row:
    return resolve_method({"kind": kind, **options}, TABLE, vision=vision)


def fragment(kind: str, part: str) -> Row:
    found: Row = whole_schema.load(f"methods/{kind}")["$defs"][part]
    return found


def fits(value: Row, kind: str, part: str) -> bool:
    whole = whole_schema.load(f"methods/{kind}")
    return jsonschema.Draft202012Validator({**whole, "$ref": f"#/$defs/{part}"}).is_valid(value)


# -- without torch


def test_the_table_and_the_fragments_name_the_same_methods() -> None:
    for part in ("spec", "lock", "receipt"):
        forms = whole_schema.load("methods/any")["$defs"][part]["anyOf"]
        kinds = [form["properties"]["kind"]["const"] for form in forms if "properties" in form]
        assert sorted(kinds) == sorted(methods.METHODS)


@each_method
def test_every_way_to_choose_a_method_comes_to_the_same_lock(kind: str) -> None:
    def chosen(method: Any) -> Any:
        start = {"kolm": 1, "name": "x", "base": "b", "data": {"captures": "c"}}
        loaded = load_spec({**start, "train": {"method": method}}).train.method
        return resolve_method(loaded, TABLE, vision=False)

    options = fragment(kind, "spec")["properties"]
    spelled = {name: part["default"] for name, part in options.items() if "default" in part}
    assert chosen(kind) == chosen({"kind": kind}) == chosen({**spelled, "kind": kind})


@pytest.mark.parametrize("name", ["full", "full_finetuning", "QLoRA", "p-tuning-v2"])
@pytest.mark.parametrize("form", [lambda name: name, lambda name: {"kind": name, "rank": 4}])
def test_a_way_to_train_that_is_no_method_is_refused_with_the_reason(name: str, form: Any) -> None:
    start = {"kolm": 1, "name": "x", "base": "b", "data": {"captures": "c"}}
    with pytest.raises(Refused) as refused:
        load_spec({**start, "train": {"method": form(name)}})
    assert refused.value.code == "E_TRAIN_METHOD"
    assert REFUSED[name.lower().replace("-", "_")].reason in refused.value.message
    assert {*re.findall(r"\w+", refused.value.hint)} & {*methods.METHODS}


@each_method
def test_a_lock_holds_every_option_and_resolves_to_itself(kind: str) -> None:
    for vision in (False, True) if methods.METHODS[kind].ANY_LAYER else (False,):
        block = block_of(kind, vision=vision)
        assert fits(block, kind, "lock")
        stated = fragment(kind, "lock")
        sometimes = stated["properties"].keys() - set(stated["required"])
        assert fragment(kind, "spec")["properties"].keys() <= block.keys() | sometimes
        method = methods.method_of(block)
        assert to_document(method) == block
        assert methods.resolved_again(method, TABLE, vision=vision) == method


@pytest.mark.parametrize(
    "kind", [kind for kind in methods.METHODS if "targets" in fragment(kind, "spec")["properties"]]
)
def test_the_order_and_number_of_targets_says_nothing(kind: str) -> None:
    names = ["v_proj", "down_proj", "k_proj"]
    assert block_of(kind, targets=names) == block_of(kind, targets=[*reversed(names), "k_proj"])


@each_method
@pytest.mark.parametrize("roles", [{"vision": True}, {"vision": False, "projector": "lora"}])
def test_a_method_of_the_language_role_is_refused_for_others(kind: str, roles: Row) -> None:
    options = {"kind": kind}
    if methods.METHODS[kind].ANY_LAYER:
        assert resolve_method(options, TABLE, **roles)["kind"] == kind
        return
    again = methods.method_of(block_of(kind))
    for ask in (
        lambda: resolve_method(options, TABLE, **roles),
        lambda: methods.resolved_again(again, TABLE, **roles),
    ):
        with pytest.raises(Refused) as refused:
            ask()
        assert refused.value.code == "E_ADAPTER_ROLE"


@each_method
def test_names_are_read_as_they_are_written(kind: str) -> None:
    block = block_of(kind)
    method = methods.method_of(block)
    module = f"model.language_model.layers.3.self_attn.{method.BARE_IN or 'k_proj'}"
    listed = {module: frozenset({"weight"}), "lm_head": frozenset({"weight"})}
    for part in method.shapes(module, (8, 4)):
        assert part in method.PARTS
        name = name_of(module, part, method)
        assert methods.read_name(name, method, listed) == DeltaTensor(name, module, part)
        for odd in (name + ".x", f"x{name}", f"{methods.PREFIX}model.lairs.{part}"):
            assert isinstance(methods.read_name(odd, method, listed), UnknownTensor)
        other = part if name != part else f"{methods.PREFIX}{module}.{part}"
        assert isinstance(methods.read_name(other, method, listed), UnknownTensor)
    whole = f"{methods.PREFIX}lm_head.weight"
    assert methods.read_name(whole, method, listed) == WholeTensor(whole, "lm_head", "weight")


@each_method
def test_what_the_receipt_says_fits_its_fragment(kind: str) -> None:
    said = methods.method_of(block_of(kind)).receipt()
    assert fits(said, kind, "receipt")
    assert said["kind"] == kind


# -- a bundle under audit


@pytest.fixture(scope="module", params=methods.METHODS)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp(request.param), method={"kind": request.param})


@pytest.fixture
def forged(world: World) -> BundleParts:
    return world.parts.copy()


def deltas(parts: BundleParts) -> list[str]:
    adapted = [row for row in parts.modules if row["state"] == "adapted"]
    return [tensor["tensor"] for row in adapted for tensor in row["adapter"]]


def test_an_honest_bundle_is_accepted_with_its_base(world: World) -> None:
    answers = world.audit(world.parts, base=world.parts.base)
    assert answers.overall is Verdict.OK
    for number in (*range(20, 30), 42, 43):
        assert answers[f"V{number}"].verdict is Verdict.OK, number


def test_a_bundle_says_its_method_in_receipt_and_card(world: World) -> None:
    members, kind = world.parts.members(), world.parts.lock["train"]["method"]["kind"]
    receipt = canonical.loads(world.parts.receipt(), where=RECEIPT)
    assert receipt["vlm_train"]["method"]["kind"] == kind
    assert f"| Method | {kind}" in bytes(members["README.md"]).decode()


def test_a_delta_of_another_shape_is_refused(world: World, forged: BundleParts) -> None:
    name = deltas(forged)[0]
    _, shape, _ = forged.tensors[name]
    forged.tensors[name] = floats("wide", (shape[0] + 1, *shape[1:]))
    forged.retouch()
    assert "V23" in world.audit(forged).failed


def test_a_delta_without_a_part_is_refused(world: World, forged: BundleParts) -> None:
    name = deltas(forged)[0]
    del forged.tensors[name]
    for row in forged.modules:
        row["adapter"] = [tensor for tensor in row["adapter"] if tensor["tensor"] != name]
    assert world.audit(forged).failed & {"V22", "V23"}


def test_a_tensor_of_another_method_is_refused(world: World, forged: BundleParts) -> None:
    name = deltas(forged)[0]
    forged.tensors[f"{name.rpartition('.')[0]}.vera_lambda_b"] = floats("other", (2,))
    assert "V22" in world.audit(forged).failed


def test_settings_that_do_not_follow_from_the_options_are_refused(
    world: World, forged: BundleParts
) -> None:
    forged.lock["train"]["method"]["target_expression"] = ".*"
    assert "V28" in world.audit(forged).failed


def test_a_lock_that_adapts_a_tower_which_the_method_left_alone_is_refused(
    world: World, forged: BundleParts
) -> None:
    forged.lock["train"]["freeze"]["vision"] = False
    assert "V28" in world.audit(forged).failed


def test_an_adapter_that_starts_elsewhere_is_refused(world: World, forged: BundleParts) -> None:
    method = methods.method_of(forged.lock["train"]["method"])
    starts = method.STARTS
    if method.front:  # virtual tokens begin as something else than none, and drawn
        assert not starts
        return
    assert starts, "nothing of this method has a value that is known"
    for row in forged.modules:
        for tensor in row["adapter"]:
            if tensor["tensor"].endswith(tuple(starts)):
                tensor["before"] = digest.EMPTY
    assert "V29" in world.audit(forged).failed


def test_an_adapter_that_changes_nothing_is_refused(world: World, forged: BundleParts) -> None:
    """Whatever else is drawn at random, tensors at their start make no difference.

    Virtual tokens do from the start; without a length they are as good as none.
    """
    forged.lock["train"]["projector"] = "frozen"
    forged.lock["train"]["projector_learning_rate"] = "0"
    for row in forged.modules:
        if row["state"] == "trained":
            for tensor in row["adapter"]:
                del forged.tensors[tensor["tensor"]]
            row["state"], row["adapter"] = "frozen", []
    method = methods.method_of(forged.lock["train"]["method"])
    starts = dict.fromkeys(method.PARTS, 0) if method.front else method.STARTS
    for name in deltas(forged):
        for part, value in starts.items():
            if f".{name}".endswith(f".{part}"):
                dtype, shape, _ = forged.tensors[name]
                raw = struct.pack("<f", value) * math.prod(shape)
                forged.tensors[name] = (dtype, shape, raw)
    forged.retouch()
    answers = world.audit(forged)
    assert "V27" in answers.failed
    assert answers.overall is Verdict.FAILED


# -- with PEFT


@pytest.fixture
def torch() -> Any:
    pytest.importorskip("peft")
    return pytest.importorskip("torch")


def attached_to(model: Any, kind: str, **options: Any) -> Any:
    from kolm.adapters.attach import attach

    return attach(
        model,
        TABLE,
        methods.method_of(block_of(kind, **options)),
        projector="full",
        adapt_vision=False,
        seed=digest.of_bytes(b"seed"),
    )


def logits(torch: Any, model: Any) -> Any:
    """As kolm computes them, of a bare base or of PEFT's model."""
    from kolm.models.base import make_forward
    from kolm.models.forward import logits_of
    from kolm.models.taps import Recording
    from tests.support import tiny_vlm

    picture = tiny_vlm.make_image_processor()(
        images=[tiny_vlm.make_picture(3)], return_tensors="pt"
    )
    ids = torch.tensor([[tiny_vlm.V_START, *[tiny_vlm.IMAGE] * 4, tiny_vlm.V_END, 5, 6, 7]])
    shown = (ids == tiny_vlm.IMAGE).long()
    row = SimpleNamespace(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        image_mask=shown,
        answer_mask=torch.zeros_like(ids),
        branches=None,
    )
    base = model if isinstance(model, type(tiny_vlm.make_model())) else model.get_base_model()
    with torch.no_grad():
        hidden = make_forward(base, TABLE).hidden(row, Recording(pictures=1, inputs=picture))
        return logits_of(base, hidden)


def moved(torch: Any, attached: Any) -> Any:
    """As if it had been trained."""
    torch.manual_seed(1)
    with torch.no_grad():
        for tensor in attached.tensors:
            tensor.parameter.add_(torch.randn_like(tensor.parameter) * 0.1)
    return attached


def factors_of(attached: Any, method: methods.Method) -> dict[str, dict[str, StoredTensor]]:
    from kolm.train.survey import dtype_name, raw_bytes

    found: dict[str, dict[str, StoredTensor]] = {}
    for tensor in attached.tensors:
        if not tensor.whole:
            part = tensor.name.removeprefix(f"{methods.PREFIX}{tensor.module}.")
            found.setdefault(tensor.module, {})[part] = StoredTensor(
                dtype_name(tensor.parameter),
                tuple(tensor.parameter.shape),
                raw_bytes(tensor.parameter),
            )
    return found


@pytest.mark.heavy
@each_method
def test_a_fresh_adapter_is_what_the_method_says_and_changes_nothing(torch: Any, kind: str) -> None:
    """But virtual tokens, which make a difference from the start: these are there or not."""
    from tests.support import tiny_vlm

    base = tiny_vlm.make_model()
    untouched = logits(torch, copy.deepcopy(base))
    weights = {n: m.weight.shape for n, m in base.named_modules() if hasattr(m, "weight")}
    method = methods.method_of(block_of(kind))
    attached = attached_to(base, kind)
    assert torch.equal(logits(torch, attached.model), untouched) != bool(method.front)
    found = factors_of(attached, method)
    assert found.keys() == {n for n in weights if re.fullmatch(method.target_expression, n)}
    for module, factors in found.items():
        shapes = {part: stored.shape for part, stored in factors.items()}
        assert shapes == method.shapes(module, weights[module])
        assert method.counts(factors, "1") == bool(method.front)
        for part, value in method.STARTS.items():
            if part in shapes:  # others are of experts, which this base has not
                assert factors[part].raw == struct.pack("<f", value) * math.prod(shapes[part])
    for module, factors in factors_of(moved(torch, attached), method).items():
        assert method.counts(factors, "1"), module


@pytest.mark.heavy
@each_method
def test_what_is_said_to_load_it_loads_what_the_bundle_holds(
    torch: Any, kind: str, tmp_path: Path
) -> None:
    import peft

    from kolm.adapters.config import saved_tensors
    from kolm.evaluate.session import load_adapter
    from kolm.train.checkpoints import encode_tensors
    from tests.support import tiny_vlm

    base = tiny_vlm.make_model()
    untouched = logits(torch, base)
    attached = moved(torch, attached_to(base, kind))
    named = {tensor.name: tensor.parameter for tensor in attached.tensors}
    assert named.keys() == saved_tensors(attached.model).keys()
    lock = {"base": {"id": "local/tiny"}, "train": {"method": block_of(kind)}}
    whole = {tensor.module for tensor in attached.tensors if tensor.whole}
    rows = [{"module": module, "state": "trained"} for module in whole]
    (tmp_path / CONFIG).write_bytes(adapter_config.derive(lock, rows))
    (tmp_path / WEIGHTS).write_bytes(encode_tensors(named))

    loaders = methods.method_of(block_of(kind)).loaders("full")
    if "PEFT" in loaders:
        loaded = peft.PeftModel.from_pretrained(tiny_vlm.make_model(), tmp_path).eval()
    else:
        with pytest.raises(KeyError):  # aloud, rather than half of it
            peft.PeftModel.from_pretrained(tiny_vlm.make_model(), tmp_path)
        loaded = load_adapter(tiny_vlm.make_model(), tmp_path)
    answered = logits(torch, loaded)
    assert torch.equal(answered, logits(torch, attached.model))
    assert not torch.allclose(answered, untouched, atol=1e-3)
    for model in (attached.model, loaded):
        with model.disable_adapter():
            assert torch.equal(logits(torch, model), untouched)


# -- the whole line on the embedded base


# What a method needs to learn the coloured squares, where it is not what the lines have anyway.
NEEDS: dict[str, Row] = {
    "bottleneck": {"learning_rate": 0.005},
    "ia3": {"steps": 128, "learning_rate": 0.05, "more": "  projector_learning_rate: 0.005\n"},
    "p_tuning": {"learning_rate": 0.005, "more": "  projector_learning_rate: 0.005\n"},
    "prefix": {"learning_rate": 0.05, "more": "  projector_learning_rate: 0.005\n"},
    "prompt": {"steps": 192, "learning_rate": 0.1, "more": "  projector_learning_rate: 0.005\n"},
}


# Layers of kolm's own and tokens in front: `make acceptance` compiles with the others as well, and
# every other compile of `make test` is one with LoRA.
COMPILED = ("bottleneck", "prompt")


@pytest.mark.heavy
@pytest.mark.parametrize(
    "kind",
    [
        kind if kind in COMPILED else pytest.param(kind, marks=pytest.mark.slow)
        for kind in methods.METHODS
    ],
)
def test_a_compile_is_accepted_with_its_base_and_answers(kind: str, tmp_path: Path) -> None:
    needs = {"steps": STEPS, **NEEDS.get(kind, {})}
    line = Line.make(tmp_path, rows=coloured(200), method=kind, **needs)
    line.demand("compile")
    line.demand("verify", line.bundle, "--base", "kolm/nano-1", "--captures", "captures")
    (tmp_path / "red.png").write_bytes(square((220, 20, 20), grey=3))
    ran = line.demand("run", line.bundle, "--image", tmp_path / "red.png", "--prompt", QUESTION)
    assert ran.stdout.strip() == "red square"
