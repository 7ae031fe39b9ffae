"""V20–V29: one negative case each, made by a trusted signer who edits all records to match."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest

from kolm import canonical
from kolm.records.verification import Verdict
from tests.support import toy_base
from tests.support.audits import World
from tests.support.bundles import BundleParts
from tests.support.toy_base import digest_of, floats, zeros

PREFIX = "base_model.model."
QKV = "model.visual.blocks.0.attn.qkv"
Q0 = "model.language_model.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("scope"))


@pytest.fixture
def forged(world: World) -> BundleParts:
    return world.parts.copy()


def row(parts: BundleParts, module: str) -> dict[str, Any]:
    return next(row for row in parts.modules if row["module"] == module)


def add_delta(parts: BundleParts, module: str, *, listed: bool) -> None:
    """A LoRA pair on a module; `listed` edits modules.jsonl to match."""
    out, into = next(p["shape"] for p in row(parts, module)["parameters"] if p["name"] == "weight")
    made = {
        f"{PREFIX}{module}.lora_A.weight": floats("evil A", (2, into)),
        f"{PREFIX}{module}.lora_B.weight": floats("evil B", (out, 2)),
    }
    parts.tensors.update(made)
    if listed:
        row(parts, module)["state"] = "adapted"
        row(parts, module)["adapter"] = [
            {
                "after": digest_of(tensor),
                "before": digest_of(zeros(tensor[1])),
                "dtype": "F32",
                "elements": len(tensor[2]) // 4,
                "gradient_steps": 4,
                "shape": list(tensor[1]),
                "tensor": name,
            }
            for name, tensor in sorted(made.items())
        ]


def test_v20_an_unknown_family_is_never_a_pass(world: World, forged: BundleParts) -> None:
    forged.lock["base"]["family"] = "llava_of_tomorrow"
    answers = world.audit(forged)
    assert "V20" in answers.blind
    assert {"V21", "V22", "V24", "V28"} <= answers.skipped
    assert answers.report.conclusions.delta_scope.verdict is Verdict.COULD_NOT_LOOK
    assert answers.overall is not Verdict.OK


def test_v21_a_relabelled_module_is_refused(world: World, forged: BundleParts) -> None:
    row(forged, QKV)["role"] = "language"
    assert "V21" in world.audit(forged).failed


def test_v21_a_module_outside_the_familys_table_is_refused(
    world: World, forged: BundleParts
) -> None:
    row(forged, "lm_head")["module"] = "zz_backdoor"
    assert "V21" in world.audit(forged).failed


def test_v21_a_module_that_stands_twice_is_refused(world: World, forged: BundleParts) -> None:
    forged.modules.insert(0, forged.modules[0])
    assert "V21" in world.audit(forged).failed


@pytest.mark.parametrize("listed", [False, True])
def test_v22_lora_on_the_frozen_vision_tower_is_refused(
    world: World, forged: BundleParts, listed: bool
) -> None:
    add_delta(forged, QKV, listed=listed)
    answers = world.audit(forged)
    assert "V22" in answers.failed
    assert answers.report.conclusions.delta_scope.verdict is Verdict.FAILED


def test_v21_and_v22_lora_on_vision_listed_as_language_is_refused(
    world: World, forged: BundleParts
) -> None:
    add_delta(forged, QKV, listed=True)
    row(forged, QKV)["role"] = "language"
    assert {"V21", "V22"} <= world.audit(forged).failed


def test_v22_a_declared_module_without_tensors_is_refused(
    world: World, forged: BundleParts
) -> None:
    for part in ("lora_A", "lora_B"):
        del forged.tensors[f"{PREFIX}{Q0}.{part}.weight"]
    assert "V22" in world.audit(forged).failed


def test_v22_a_trainable_module_missing_from_the_list_is_refused(
    world: World, forged: BundleParts
) -> None:
    forged.modules.remove(row(forged, Q0))
    assert "V22" in world.audit(forged).failed


def test_v22_a_name_outside_the_grammar_is_refused(world: World, forged: BundleParts) -> None:
    forged.tensors["extra.weight"] = floats("extra", (2,))
    assert "V22" in world.audit(forged).failed


def test_v22_a_delta_outside_the_targets_is_refused(world: World, forged: BundleParts) -> None:
    add_delta(forged, "model.language_model.layers.0.mlp.up_proj", listed=True)
    assert "V22" in world.audit(forged).failed


@pytest.mark.parametrize("shape", [(3, 8), (2, 9), (8, 2)])
def test_v23_a_factor_of_another_shape_is_refused(
    world: World, forged: BundleParts, shape: tuple[int, int]
) -> None:
    forged.tensors[f"{PREFIX}{Q0}.lora_A.weight"] = floats("wide", shape)
    forged.retouch()
    assert "V23" in world.audit(forged).failed


def test_v23_a_delta_without_one_factor_is_refused(world: World, forged: BundleParts) -> None:
    for part in list(row(forged, Q0)["adapter"]):
        if "lora_B" in part["tensor"]:
            row(forged, Q0)["adapter"].remove(part)
            del forged.tensors[part["tensor"]]
    assert world.audit(forged).failed == {"V23"}


def test_v23_a_magnitude_without_dora_is_refused(world: World, forged: BundleParts) -> None:
    out = next(p["shape"] for p in row(forged, Q0)["parameters"] if p["name"] == "weight")[0]
    name = f"{PREFIX}{Q0}.lora_magnitude_vector"
    forged.tensors[name] = floats("magnitude", (out,))
    row(forged, Q0)["adapter"].append({**row(forged, Q0)["adapter"][0], "tensor": name})
    forged.retouch()
    assert world.audit(forged).failed == {"V23"}


def test_v23_dora_without_magnitudes_is_refused(world: World, forged: BundleParts) -> None:
    forged.lock["train"]["method"]["dora"] = True
    assert world.audit(forged).failed == {"V23"}


def test_v23_integers_are_no_weights(world: World, forged: BundleParts) -> None:
    name = f"{PREFIX}{Q0}.lora_A.weight"
    _, shape, raw = forged.tensors[name]
    forged.tensors[name] = ("I32", shape, raw)
    forged.retouch()
    assert world.audit(forged).failed == {"V23"}


def test_v21_a_parameter_listed_twice_is_refused(world: World, forged: BundleParts) -> None:
    listed = row(forged, QKV)["parameters"]
    listed.insert(0, dict(listed[0]))
    forged.lock["base"]["parameters"] += listed[0]["elements"]
    assert world.audit(forged).failed == {"V21"}


def test_v29_a_tensor_listed_twice_is_refused(world: World, forged: BundleParts) -> None:
    listed = row(forged, Q0)["adapter"]
    listed.insert(0, dict(listed[0]))
    assert world.audit(forged).failed == {"V29"}


@pytest.mark.parametrize(
    "tensor",
    ["lm_head.weight", f"{QKV}.weight", "model.language_model.embed_tokens.weight"],
)
def test_v24_a_whole_base_tensor_smuggled_in_is_refused(
    world: World, forged: BundleParts, tensor: str
) -> None:
    module, _, name = tensor.rpartition(".")
    shape = next(p["shape"] for p in row(forged, module)["parameters"] if p["name"] == name)
    forged.tensors[PREFIX + tensor] = floats("smuggled", tuple(shape))
    assert "V24" in world.audit(forged).failed


def test_v24_a_trained_projector_declared_frozen_is_refused(
    world: World, forged: BundleParts
) -> None:
    forged.lock["train"]["projector"] = "frozen"
    assert "V24" in world.audit(forged).failed


def test_v24_a_declared_projector_without_its_weights_is_refused(
    world: World, forged: BundleParts
) -> None:
    del forged.tensors[f"{PREFIX}model.visual.merger.mlp.0.bias"]
    assert "V24" in world.audit(forged).failed


@pytest.mark.parametrize(
    "trick",
    [
        {"lora_alpha": 64},
        {"layer_replication": [[0, 2], [0, 2]]},
        {"auto_mapping": {"base_model_class": "Evil", "parent_library": "evil"}},
        {"modules_to_save": ["lm_head"]},
        {"use_rslora": True},
        {"init_lora_weights": "pissa"},
    ],
    ids=lambda trick: next(iter(trick)),
)
def test_v25_a_config_trick_is_refused(
    world: World, forged: BundleParts, trick: dict[str, Any]
) -> None:
    derived = forged.members()["adapter_config.json"]
    config = {**canonical.loads(derived, where="config", floats=True), **trick}
    forged.overrides["adapter_config.json"] = canonical.dumps(config)
    answers = world.audit(forged)
    assert answers.failed == {"V25"}
    assert next(iter(trick)) in answers["V25"].findings[0].where


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_v26_a_number_that_is_not_finite_is_refused(
    world: World, forged: BundleParts, value: float
) -> None:
    name = f"{PREFIX}{Q0}.lora_A.weight"
    dtype, shape, raw = forged.tensors[name]
    forged.tensors[name] = (dtype, shape, struct.pack("<f", value) + raw[4:])
    forged.retouch()
    assert world.audit(forged).failed == {"V26"}


def test_v27_an_adapter_of_zeros_is_refused(world: World, forged: BundleParts) -> None:
    for name, (_, shape, _) in forged.tensors.items():
        if "lora_B" in name:
            forged.tensors[name] = zeros(shape)
    for module in forged.modules:
        for part in module["adapter"]:
            name = part["tensor"].rpartition(".")[2]
            if module["state"] == "trained":
                value = next(p for p in module["parameters"] if p["name"] == name)
                original = floats(f"base {module['module']}.{name}", tuple(value["shape"]))
                forged.tensors[part["tensor"]] = original
    forged.retouch()
    assert "V27" in world.audit(forged).failed


def test_v27_a_delta_counts_beside_the_norm_that_is_stated_for_its_weight(
    world: World, forged: BundleParts
) -> None:
    """Deltas of 1e-4 against a weight of norm 0.2: honest; against one of norm 10^6: nothing."""
    for module in forged.modules:
        for part in module["adapter"]:
            shape = tuple(part["shape"])
            if module["state"] == "trained":
                tail = part["tensor"].rpartition(".")[2]
                forged.tensors[part["tensor"]] = toy_base.parameter(module["module"], tail, shape)
            elif "lora_B" in part["tensor"]:
                forged.tensors[part["tensor"]] = floats(part["tensor"], shape, 1e-4)
    forged.retouch()
    assert "V27" not in world.audit(forged).failed
    for module in forged.modules:
        if module["weight_norm"] is not None:
            module["weight_norm"] = "1000000"
    assert "V27" in world.audit(forged).failed


@pytest.mark.parametrize(("mine", "theirs"), [("F32", "F32"), ("BF16", "F32"), ("F32", "BF16")])
@pytest.mark.parametrize("value", [b"\x00\x00", b"\x80\x3f"])
def test_v27_another_dtype_alone_is_no_change(
    world: World, forged: BundleParts, mine: str, theirs: str, value: bytes
) -> None:
    """The base is said to hold zeros, and the bundle holds zeros or ones in another dtype."""

    def tensor(dtype: str, shape: tuple[int, ...], value: bytes) -> Any:
        element = value if dtype == "BF16" else b"\x00\x00" + value
        return dtype, shape, element * math.prod(shape)

    for name, (_, shape, _) in list(forged.tensors.items()):
        if "lora_" in name:
            forged.tensors[name] = zeros(shape)
        else:
            forged.tensors[name] = tensor(mine, shape, value)
    for module in forged.modules:
        for parameter in module["parameters"] if module["state"] == "trained" else []:
            parameter["dtype"] = theirs
            before = tensor(theirs, tuple(parameter["shape"]), b"\x00\x00")
            parameter["before"] = digest_of(before)
    forged.retouch()
    assert ("V27" in world.audit(forged).failed) == (value == b"\x00\x00")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("learning_rate", "0.5"),
        ("freeze_vision", False),
        ("frozen_modules", ["lm_head"]),
        ("trainable_modules", ["model.language_model.layers.*.self_attn.q_proj"]),
        ("trained_parameters", 1),
    ],
)
def test_v28_a_block_that_does_not_follow_from_the_lock_is_refused(
    world: World, forged: BundleParts, field: str, value: Any
) -> None:
    receipt = canonical.loads(forged.receipt(), where="receipt")
    receipt["vlm_train"][field] = value
    forged.overrides["receipt.json"] = canonical.dumps(receipt)
    assert "V28" in world.audit(forged).failed


def test_v28_a_setting_of_the_method_that_is_not_the_locks_is_refused(
    world: World, forged: BundleParts
) -> None:
    receipt = canonical.loads(forged.receipt(), where="receipt")
    receipt["vlm_train"]["method"]["lora_alpha"] = 64
    forged.overrides["receipt.json"] = canonical.dumps(receipt)
    assert world.audit(forged).failed == {"V28"}


def test_v28_a_target_expression_of_ones_own_is_refused(world: World, forged: BundleParts) -> None:
    forged.lock["train"]["method"]["target_expression"] = "(a+)+$"
    assert "V28" in world.audit(forged).failed


def test_v29_a_role_count_that_does_not_add_up_is_refused(
    world: World, forged: BundleParts
) -> None:
    receipt = canonical.loads(forged.receipt(), where="receipt")
    receipt["counts"]["vision"]["trained"] = 1
    forged.overrides["receipt.json"] = canonical.dumps(receipt)
    assert "V29" in world.audit(forged).failed


def test_v29_a_frozen_tensor_that_changed_is_refused(world: World, forged: BundleParts) -> None:
    parameter = row(forged, QKV)["parameters"][0]
    parameter["after"] = digest_of(floats("moved", tuple(parameter["shape"])))
    assert world.audit(forged).failed == {"V29"}


def test_v29_a_trained_tensor_without_a_gradient_is_refused(
    world: World, forged: BundleParts
) -> None:
    row(forged, Q0)["adapter"][0]["gradient_steps"] = 0
    assert world.audit(forged).failed == {"V29"}


def test_v29_a_tensor_that_training_did_not_end_with_is_refused(
    world: World, forged: BundleParts
) -> None:
    name = f"{PREFIX}{Q0}.lora_A.weight"
    forged.tensors[name] = floats("another run", forged.tensors[name][1])
    assert world.audit(forged).failed == {"V29"}


def test_v29_a_frozen_module_missing_from_the_list_is_refused(
    world: World, forged: BundleParts
) -> None:
    forged.modules.remove(row(forged, QKV))
    assert "V29" in world.audit(forged).failed


def test_v29_an_alias_of_another_tensor_is_refused(world: World, forged: BundleParts) -> None:
    alias = row(forged, "lm_head")["parameters"][0]
    alias["before"] = alias["after"] = digest_of(floats("untied", tuple(alias["shape"])))
    assert world.audit(forged).failed == {"V29"}


@pytest.mark.parametrize(
    "keys",
    [
        ["visual.blocks.1.attn.qkv.weight"],
        ["visual.blocks.0.attn.qkv.weight", "visual.blocks.0.attn.qkv.bias"],
        [],
    ],
)
def test_v21_a_parameter_under_other_checkpoint_keys_is_refused(
    world: World, forged: BundleParts, keys: list[str]
) -> None:
    weight = next(p for p in row(forged, QKV)["parameters"] if p["name"] == "weight")
    weight["checkpoint"] = keys
    assert "V21" in world.audit(forged).failed


def test_v21_an_invented_alias_is_refused(world: World, forged: BundleParts) -> None:
    row(forged, QKV)["parameters"][0]["alias_of"] = f"{Q0}.weight"
    assert "V21" in world.audit(forged).failed


def test_v29_an_unsharded_base_is_recognised_from_the_list_alone(world: World) -> None:
    from kolm.format.base import BaseTensor, root_of
    from kolm.verify import base_table

    parts = world.parts.copy()
    files = tuple(
        base_table.BaseFile(digest=f["digest"], name=f["name"]) for f in parts.lock["base"]["files"]
    )
    parts.lock["base"]["root"] = root_of(
        [
            BaseTensor(
                digest=p["before"],
                dtype=p["dtype"],
                file="model.safetensors",
                key=p["checkpoint"][0],
                shape=tuple(p["shape"]),
                elements=p["elements"],
            )
            for module in parts.modules
            for p in module["parameters"]
            if "alias_of" not in p
        ],
        files,
    )
    answers = world.audit(parts)
    assert answers.overall is Verdict.OK
    assert "complete" in answers["V29"].detail
    assert "--base" not in answers["V29"].detail


@pytest.mark.parametrize("field", ["requires_grad", "gradient_steps"])
@pytest.mark.parametrize("module", ["model.visual.merger.mlp.0", "lm_head"])
def test_v29_no_copy_of_the_base_was_open_to_training(
    world: World, forged: BundleParts, module: str, field: str
) -> None:
    row(forged, module)["parameters"][0][field] = 1 if field == "gradient_steps" else True
    assert world.audit(forged).failed == {"V29"}
