"""The role table of Qwen2.5-VL against the model that transformers builds."""

import re

import pytest

from kolm.errors import Refused
from kolm.roles import FAMILIES, Role, family
from tests.support import tiny_vlm

torch = pytest.importorskip("torch")
TABLE = family("qwen2_5_vl")
SUFFIXES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@pytest.fixture(scope="module")
def full_size():
    """The model of the default configuration, without memory for its weights."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    config = Qwen2_5_VLConfig(bos_token_id=None, eos_token_id=1, pad_token_id=0)
    with torch.device("meta"):
        return Qwen2_5_VLForConditionalGeneration(config)


def owners(model):
    for name, module in model.named_modules():
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        if own:
            yield name, [tensor for tensor, _ in own]


def test_every_module_with_tensors_has_a_role(full_size):
    roles = {TABLE.role_of_module(*owned) for owned in owners(full_size)}
    assert roles == {Role.VISION, Role.PROJECTOR, Role.LANGUAGE, Role.HEAD}


@pytest.mark.parametrize("table", FAMILIES.values(), ids=list(FAMILIES))
def test_no_two_roles_cover_the_same_name(table):
    prefixes = [(role, prefix) for role, own in table.prefixes.items() for prefix in own]
    for role, prefix in prefixes:
        for other, inner in prefixes:
            if role is not other:
                assert not f"{inner}.".startswith(f"{prefix}.")


def test_the_parameters_of_the_roles_add_up_to_the_model(full_size):
    sums = dict.fromkeys(Role, 0)
    for name, parameter in full_size.named_parameters():
        sums[TABLE.role_of(name)] += parameter.numel()
    assert sum(sums.values()) == sum(p.numel() for p in full_size.parameters())
    assert sums[Role.OTHER] == 0
    # The projector lies inside model.visual; a rule by that name would call it vision.
    assert sums[Role.PROJECTOR] == sum(
        p.numel() for p in full_size.model.visual.merger.parameters()
    )


def test_the_expression_hits_all_linear_layers_of_the_language_blocks_and_no_other(full_size):
    expression = TABLE.target_expression(TABLE.lora_leaf_names)
    hit = {name for name, _ in full_size.named_modules() if re.fullmatch(expression, name)}
    linear = {
        name
        for name, module in full_size.named_modules()
        if isinstance(module, torch.nn.Linear) and name.startswith("model.language_model.layers.")
    }
    assert hit == linear
    assert {TABLE.role_of(name) for name in hit} == {Role.LANGUAGE}


def test_a_list_of_suffixes_would_hit_the_vision_tower(full_size):
    hit = [name for name, _ in full_size.named_modules() if name.endswith(SUFFIXES)]
    assert sum(TABLE.role_of(name) is Role.VISION for name in hit) == 96


def test_the_expression_with_vision_adds_the_towers_linear_layers_but_never_the_projector(
    full_size,
):
    expression = TABLE.target_expression(["q_proj"], vision=True)
    hit = [name for name, _ in full_size.named_modules() if re.fullmatch(expression, name)]
    assert {TABLE.role_of(name) for name in hit} == {Role.LANGUAGE, Role.VISION}
    assert all(name.endswith("q_proj") or ".visual.blocks." in name for name in hit)


def test_the_expression_does_not_depend_on_the_order_of_names():
    assert TABLE.target_expression(["v_proj", "q_proj"]) == TABLE.target_expression(
        ["q_proj", "v_proj", "q_proj"]
    )


@pytest.mark.parametrize(("targets", "hint"), [(["q_prj"], "q_proj"), (["qkv"], ""), ([], "")])
def test_a_target_that_the_language_role_does_not_have_is_refused(targets, hint):
    with pytest.raises(Refused) as caught:
        TABLE.target_expression(targets)
    assert caught.value.code == "E_ROLES_UNKNOWN_TARGET"
    assert hint in caught.value.hint


def test_checkpoint_keys_are_those_that_the_library_writes(tmp_path):
    from safetensors import safe_open

    base = tiny_vlm.save_base(tmp_path)
    with safe_open(base / "model.safetensors", framework="numpy") as file:
        stored = set(file.keys())
    names = {name for name, _ in tiny_vlm.make_model().named_parameters()}
    assert {TABLE.checkpoint_keys(name)[0] for name in names} == stored
    assert all(name in TABLE.checkpoint_keys(name) for name in names)


@pytest.mark.parametrize("model_type", ["gpt2", "phi3_v", "", "qwen2_5_vl "])
def test_a_family_without_a_table_is_refused_by_name(model_type):
    with pytest.raises(Refused) as caught:
        family(model_type)
    assert caught.value.code == "E_ROLES_UNKNOWN_FAMILY"
    assert caught.value.found == model_type


@pytest.mark.parametrize("name", ["", "model", "model.visual", "visual.blocks.0", "lm_head2"])
def test_a_name_that_no_line_covers_has_no_role(name):
    assert TABLE.role_of(name) is Role.OTHER
