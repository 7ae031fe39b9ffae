"""LoRA on the experts of a layer: parameters of three axes, in every family that has them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

from kolm import digest, methods, roles  # noqa: E402
from kolm.adapters.attach import Attached, attach  # noqa: E402
from kolm.bundle.base_root import base_root  # noqa: E402
from kolm.bundle.tensors import TensorEntry  # noqa: E402
from kolm.errors import Refused  # noqa: E402
from kolm.format import adapter_config  # noqa: E402
from kolm.format.names import CONFIG, WEIGHTS  # noqa: E402
from kolm.methods.method import DeltaTensor, read_name  # noqa: E402
from kolm.models.forward import logits_of  # noqa: E402
from kolm.records.verification import Verdict  # noqa: E402
from kolm.spec.options import resolve_method  # noqa: E402
from kolm.train import evidence, survey  # noqa: E402
from kolm.train.checkpoints import encode_tensors  # noqa: E402
from kolm.verify.checks import base, scope_roles, scope_tensors  # noqa: E402
from tests.contract import test_family_forward as forward  # noqa: E402
from tests.support import families  # noqa: E402

pytestmark = pytest.mark.heavy
WITH_EXPERTS = pytest.mark.parametrize(
    "name", sorted(name for name, table in roles.FAMILIES.items() if table.experts)
)
OPTIONS = {"kind": "lora", "rank": 2, "alpha": 4, "experts": True}


def attached_to(model: Any, name: str) -> tuple[dict[str, Any], Attached]:
    """The lock's block, and the model with it, every tensor moved from where it starts."""
    table = roles.family(name)
    block = resolve_method(OPTIONS, table, vision=False, projector="frozen")
    made = attach(
        model, table, methods.method_of(block), projector="frozen", adapt_vision=False,
        seed=digest.of_bytes(b"seed"),
    )  # fmt: skip
    return block, made


def moved(made: Attached) -> None:
    with torch.no_grad():
        for number, tensor in enumerate(made.tensors):
            noise = torch.Generator().manual_seed(number)
            tensor.parameter.add_(torch.randn(tensor.parameter.shape, generator=noise) * 0.1)


@WITH_EXPERTS
def test_three_steps_train_every_expert_tensor_and_leave_the_base(name: str) -> None:
    world, table = forward.make_world(name), roles.family(name)
    modules = survey.survey_base(world.model, table)
    _, made = attached_to(world.model, name)
    inside = [t for t in made.tensors if t.module.endswith(".mlp.experts")]
    layers = world.model.config.get_text_config().num_hidden_layers
    assert len(inside) == 4 * layers
    before = {t.name: survey.digest_tensor(t.parameter) for t in made.tensors}
    optimizer = torch.optim.AdamW([t.parameter for t in made.tensors], lr=1e-2)
    batch, recording = world.batch(*world.rows), world.recorded_rows()
    for _ in range(3):
        logits = logits_of(world.model, world.forward.hidden(batch, recording))[:, :-1]
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), batch.input_ids[:, 1:].flatten()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    evidence.check_evidence(
        modules, survey.digests_now(modules), made.tensors, dict.fromkeys(before, 3), before
    )


@WITH_EXPERTS
def test_peft_opens_it_and_each_expert_has_the_delta_of_its_own_factors(
    name: str, tmp_path: Path
) -> None:
    world = forward.make_world(name)
    block, made = attached_to(world.model, name)
    moved(made)
    rows = [
        {
            "module": module,
            "state": "adapted",
            "role": "language",
            "parameters": [
                {"name": own}
                for own, _ in families.model(name).get_submodule(module).named_parameters()
            ],
        }
        for module in sorted({tensor.module for tensor in made.tensors})
    ]
    lock = {"base": {"id": "local/tiny"}, "train": {"method": block}}
    (tmp_path / CONFIG).write_bytes(adapter_config.derive(lock, rows))
    weights = {tensor.name: tensor.parameter for tensor in made.tensors}
    (tmp_path / WEIGHTS).write_bytes(encode_tensors(weights))
    loaded = peft.PeftModel.from_pretrained(families.make_model(name), tmp_path).eval()
    arguments = {**world.arguments(world.batch(*world.rows)), **world.shown_rows()}
    with torch.no_grad():
        expected = made.model(**arguments).logits
        assert torch.equal(loaded(**arguments).logits, expected)
        plain = families.model(name)(**arguments).logits
        assert not torch.allclose(plain, expected, atol=1e-4)
        with loaded.disable_adapter():
            assert torch.equal(loaded(**arguments).logits, plain)
    # The layout as `kolm.methods.lora` has it, against the delta that PEFT adds.
    module = next(t.module for t in made.tensors if t.module.endswith("experts"))
    outer = made.base.get_submodule(module)
    for wrapper in (outer, outer.base_layer):
        inner_a = wrapper.lora_A["default"].weight
        outer_b = wrapper.lora_B["default"].weight
        delta = wrapper.get_delta_weight("default")
        count = len(delta)
        for expert in range(count):
            own = outer_b[:, expert::count] @ inner_a[expert * 2 : expert * 2 + 2] * 2
            torch.testing.assert_close(delta[expert], own)
    assert (outer.base_layer.parameter_name, outer.parameter_name) == tuple(
        methods.method_of(block).experts
    )


def looked_at(name: str, folder: Path) -> Any:
    """What the checks of scope read: the lock, the modules as training lists them, an adapter."""
    table, model = roles.family(name), families.make_model(name)
    facts = base_root(families.save(name, folder))
    modules = survey.survey_base(model, table)
    block, made = attached_to(model, name)
    rows = evidence.module_rows(
        modules, survey.digests_now(modules), made.tensors,
        {t.name: 1 for t in made.tensors}, {t.name: digest.EMPTY for t in made.tensors},
        frozenset(), table, frozenset(tensor.key for tensor in facts.tensors),
    )  # fmt: skip
    method = methods.method_of(block)
    subject = SimpleNamespace(
        adapter=[TensorEntry(t.name, "F32", (*t.parameter.shape,), 0, 0) for t in made.tensors],
        base_facts=facts,
        known_family=lambda: table,
        lock={"base": {"family": name}},
        method=method,
        modules_by_name={row["module"]: row for row in rows},
        role_of=lambda row: table.role_of(row["module"]),
        adaptable_roles={roles.Role.LANGUAGE},
    )
    subject.is_target = lambda row: (
        methods.has_experts(subject.method, row["module"])
        or row["module"] in families_targets(subject, row)
    )
    return named(subject)


def families_targets(subject: Any, row: Any) -> set[str]:
    import re

    hit = re.fullmatch(subject.method.target_expression, row["module"])
    return {row["module"]} if hit else set()


def named(subject: Any) -> Any:
    """The same with its names read again."""
    owned = {
        module: frozenset(p["name"] for p in row["parameters"])
        for module, row in subject.modules_by_name.items()
    }
    subject.adapter_names = [
        (entry, read_name(entry.name, subject.method, owned)) for entry in subject.adapter
    ]
    return subject


def failures(subject: Any) -> set[str]:
    checks = {
        "V22": scope_roles.tensors_stay_in_scope,
        "V23": scope_tensors.shapes_are_declared,
        "V43": base.adapter_fits,
    }
    return {
        number
        for number, answer in checks.items()
        if any(finding.verdict is not Verdict.OK for finding in answer(subject))
    }


@WITH_EXPERTS
def test_what_is_shipped_of_experts_is_held_against_names_and_shapes(
    name: str, tmp_path: Path
) -> None:
    subject = looked_at(name, tmp_path / "base")
    assert failures(subject) == set()
    place, entry = next(
        (n, e) for n, (e, found) in enumerate(subject.adapter_names)
        if isinstance(found, DeltaTensor) and found.part == "base_layer.lora_A.weight"
    )  # fmt: skip
    honest, method = list(subject.adapter), subject.method

    def forged(change: TensorEntry | None) -> set[str]:
        subject.adapter = [*honest[:place], *([change] if change else []), *honest[place + 1 :]]
        return failures(named(subject))

    rows, columns = entry.shape
    assert forged(entry._replace(shape=(rows // 2, columns))) >= {"V23", "V43"}
    assert forged(entry._replace(shape=(columns, rows))) >= {"V23", "V43"}
    assert forged(None) >= {"V22", "V23"}
    assert "V22" in forged(entry._replace(name=entry.name.replace("base_layer.", "base_layer.x.")))
    deeper = entry.name.replace("base_layer.", "base_layer.base_layer.")
    assert "V22" in forged(entry._replace(name=deeper))
    subject.adapter = honest
    block = resolve_method({**OPTIONS, "experts": False}, roles.family(name), vision=False)
    subject.method = methods.method_of(block)  # a lock that adapts no experts
    assert failures(named(subject)) >= {"V22", "V23", "V43"}
    subject.method = method
    assert failures(named(subject)) == set()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"dropout": "0.1"}, "E_ADAPTER_METHOD"),
        ({"dora": True}, "E_ADAPTER_METHOD"),
    ],
)
def test_what_peft_does_not_do_with_experts_is_refused(options: Any, code: str) -> None:
    with pytest.raises(Refused) as caught:
        resolve_method({**OPTIONS, **options}, roles.family("qwen3_vl_moe"), vision=False)
    assert caught.value.code == code
    with pytest.raises(ValueError, match="does not work with"):
        plain = {"lora_dropout": 0.1} if "dropout" in options else {"use_dora": True}
        names = ["model.language_model.layers.0.mlp.experts.down_proj"]
        config = peft.LoraConfig(target_modules=[], target_parameters=names, **plain)
        peft.get_peft_model(families.make_model("qwen3_vl_moe"), config)


def test_a_family_without_experts_is_told_so() -> None:
    with pytest.raises(Refused) as caught:
        resolve_method(OPTIONS, roles.family("qwen2_vl"), vision=False)
    assert caught.value.code == "E_ROLES_EXPERTS"


def test_experts_of_another_form_are_not_adapted() -> None:
    model = families.make_model("qwen3_vl_moe")
    experts = model.get_submodule("model.language_model.layers.0.mlp.experts")
    experts.register_parameter("more", torch.nn.Parameter(torch.zeros(4, 2, 2)))
    with pytest.raises(Refused) as caught:
        attached_to(model, "qwen3_vl_moe")
    assert caught.value.code == "E_ADAPTER_TARGETS"
