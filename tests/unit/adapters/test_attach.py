"""LoRA: on the language role and nowhere else, the projector whole, saved as PEFT saves it."""

import copy

import pytest

from kolm import digest
from kolm.adapters import attach as attaching
from kolm.errors import Refused
from kolm.methods import method_of
from kolm.roles import Role, family
from kolm.train.checkpoints import encode_tensors
from tests.support import tiny_vlm

torch = pytest.importorskip("torch")
TABLE = family("qwen2_5_vl")
SEED = digest.of_bytes(b"seed")


def make_method(**changes):
    targets = list(changes.pop("targets", TABLE.lora_leaf_names))
    return {
        "kind": "lora", "rank": 4, "alpha": 8, "dropout": "0", "rslora": False, "dora": False,
        "targets": targets, "target_expression": TABLE.target_expression(targets), **changes,
    }  # fmt: skip


def attach(model, *, projector="full", adapt_vision=False, seed=SEED, **changes):
    method = make_method(**changes)
    if adapt_vision:
        method["target_expression"] = TABLE.target_expression(method["targets"], vision=True)
    return attaching.attach(
        model,
        TABLE,
        method_of(method),
        projector=projector,
        adapt_vision=adapt_vision,
        seed=seed,
    )


def disturb(attached):
    """As if it had been trained: every tensor of the adapter moves."""
    torch.manual_seed(1)
    with torch.no_grad():
        for tensor in attached.tensors:
            tensor.parameter.add_(torch.randn_like(tensor.parameter) * 0.1)


def inputs():
    picture = tiny_vlm.make_picture(1)
    out = tiny_vlm.make_image_processor()(images=[picture], return_tensors="pt")
    ids = torch.tensor([[1, 2, tiny_vlm.V_START, *[tiny_vlm.IMAGE] * 4, tiny_vlm.V_END, 3, 4]])
    return {
        "input_ids": ids,
        "pixel_values": out["pixel_values"],
        "image_grid_thw": out["image_grid_thw"],
        "mm_token_type_ids": (ids == tiny_vlm.IMAGE).long(),
    }


def logits(model):
    with torch.no_grad():
        return model(**inputs()).logits


def test_deltas_are_in_the_language_role_and_whole_weights_in_the_projector():
    attached = attach(tiny_vlm.make_model())
    roles = {(TABLE.role_of(tensor.module), tensor.whole) for tensor in attached.tensors}
    assert roles == {(Role.LANGUAGE, False), (Role.PROJECTOR, True)}
    assert len({t.module for t in attached.tensors if not t.whole}) == 2 * 7
    wanted = [p for p in attached.model.parameters() if p.requires_grad]
    assert {id(p) for p in wanted} == {id(t.parameter) for t in attached.tensors}


def test_without_the_projector_nothing_is_replaced_whole():
    attached = attach(tiny_vlm.make_model(), projector="frozen", targets=["q_proj", "v_proj"])
    assert not any(tensor.whole for tensor in attached.tensors)
    assert len(attached.tensors) == 2 * 2 * 2


def test_the_vision_tower_is_adapted_only_when_asked():
    attached = attach(tiny_vlm.make_model(), adapt_vision=True)
    vision = [t.module for t in attached.tensors if TABLE.role_of(t.module) is Role.VISION]
    assert len(set(vision)) == 2 * 5


def test_an_adapter_starts_as_no_change_and_turning_it_off_restores_the_base_exactly():
    base = tiny_vlm.make_model()
    untouched = logits(copy.deepcopy(base))
    attached = attach(base)
    assert torch.equal(logits(attached.model), untouched)
    disturb(attached)
    assert not torch.allclose(logits(attached.model), untouched, atol=1e-3)
    with attached.model.disable_adapter():
        assert torch.equal(logits(attached.model), untouched)


@pytest.mark.parametrize(
    "changes", [{}, {"dora": True}, {"rslora": True}, {"targets": ["o_proj"]}],
    ids=["lora", "dora", "rslora", "one target"],
)  # fmt: skip
def test_what_is_saved_is_what_plain_peft_saves_and_loads(tmp_path, changes):
    from peft import PeftModel
    from peft.utils import get_peft_model_state_dict

    attached = attach(tiny_vlm.make_model(), **changes)
    disturb(attached)
    named = {tensor.name: tensor.parameter for tensor in attached.tensors}
    assert set(named) == set(get_peft_model_state_dict(attached.model))

    attached.model.save_pretrained(tmp_path)  # for PEFT's own adapter_config.json
    (tmp_path / "adapter_model.safetensors").write_bytes(encode_tensors(named))
    loaded = PeftModel.from_pretrained(tiny_vlm.make_model(), tmp_path)
    loaded.eval()
    assert torch.equal(logits(loaded), logits(attached.model))


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    def drawn(seed):
        torch.manual_seed(123)
        torch.rand(7)  # what was drawn before must not matter
        attached = attach(tiny_vlm.make_model(), seed=seed)
        return encode_tensors({t.name: t.parameter for t in attached.tensors})

    assert drawn(SEED) == drawn(SEED)
    assert drawn(SEED) != drawn(digest.of_bytes(b"other"))


@pytest.mark.parametrize(
    "expression",
    [".*(q_proj|k_proj)", "", r"model\.language_model\.layers\.[0-9]+\.self_attn\.q_proj"],
)
def test_a_lock_whose_expression_the_roles_do_not_give_is_refused(expression):
    with pytest.raises(Refused) as caught:
        attach(tiny_vlm.make_model(), target_expression=expression)
    assert caught.value.code == "E_ADAPTER_TARGETS"


def test_a_parameter_that_somebody_unfroze_is_refused():
    model = tiny_vlm.make_model()
    attached = attach(model)
    attached.base.model.visual.patch_embed.proj.weight.requires_grad_(True)
    with pytest.raises(Refused) as caught:
        attaching.trainable_tensors(attached.model, method_of(make_method()), TABLE, {})
    assert caught.value.code == "E_ADAPTER_TARGETS"
    assert "patch_embed" in caught.value.where
