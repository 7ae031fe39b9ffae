"""LoRA by the usual list of suffixes, which PEFT puts into towers and projectors as well, packed
under a lock that says frozen: refused, whatever the list of modules says of it.
"""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

from kolm import digest, methods, roles  # noqa: E402
from kolm.adapters.attach import AdapterTensor, attach  # noqa: E402
from kolm.records.verification import Verdict  # noqa: E402
from kolm.roles import Family, Role  # noqa: E402
from kolm.spec.options import resolve_method  # noqa: E402
from kolm.train import evidence, survey  # noqa: E402
from tests.support import families  # noqa: E402
from tests.support.audits import World  # noqa: E402
from tests.support.bundles import BundleParts  # noqa: E402

pytestmark = pytest.mark.heavy
SUFFIXES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
SCOPE = {f"V{number}" for number in range(20, 30)}
# Where other names keep it out of tower and projector; or, in Gemma 4, a tower whose layers are
# wrapped: PEFT gives up on a wrapper by such a name.
STAYS = {"gemma4", "qwen2_vl", "qwen3_5", "qwen3_5_moe", "qwen3_vl", "qwen3_vl_moe"}
LANDS = set(families.SEEING) - STAYS


def outside(model_type: str) -> set[str]:
    """The linear layers with one of the suffixes that are not the language model's."""
    table = roles.family(model_type)
    return {
        name
        for name, module in families.model(model_type).named_modules()
        if isinstance(module, torch.nn.Linear)
        and name.rpartition(".")[2] in SUFFIXES
        and table.role_of(name) is not Role.LANGUAGE
    }


def test_the_families_in_which_it_lands_elsewhere_are_these() -> None:
    found = {name for name in families.SEEING if outside(name)}
    print(f"\n{len(found)} of {len(families.SEEING)} families: {', '.join(sorted(found))}")
    assert found == LANDS


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("naive"), projector="frozen")


def lock_block(table: Family) -> dict[str, Any]:
    """The method of a lock that asks for the suffixes, in the language model as always."""
    targets = [leaf for leaf in SUFFIXES if leaf in table.lora_leaf_names]
    options = {"kind": "lora", "rank": 2, "alpha": 4, "targets": targets}
    return dict(resolve_method(options, table, vision=False, projector="frozen"))


def by_kolm(model: Any, table: Family) -> list[AdapterTensor]:
    """What kolm puts on a model for this lock."""
    method = methods.method_of(lock_block(table))
    seed = digest.of_bytes(b"seed")
    made = attach(model, table, method, projector="frozen", adapt_vision=False, seed=seed)
    return list(made.tensors)


def by_suffix(model: Any, table: Family) -> list[AdapterTensor]:
    """What PEFT puts on a model for the list of suffixes."""
    config = peft.LoraConfig(r=2, lora_alpha=4, target_modules=list(SUFFIXES))
    wrapped = peft.get_peft_model(model, config)
    return [
        AdapterTensor(
            name=name.replace(".default.", "."),
            module=name.removeprefix(methods.PREFIX).partition(".lora_")[0],
            parameter=parameter,
            whole=False,
            projector=table.role_of(name.removeprefix(methods.PREFIX)) is Role.PROJECTOR,
        )
        for name, parameter in sorted(wrapped.named_parameters())
        if ".lora_" in name
    ]


def packed(world: World, name: str, put: Any) -> BundleParts:
    """A bundle of the family whose documents say honestly what was put on the model."""
    table, model = roles.family(name), families.make_model(name)
    modules = survey.survey_base(model, table)
    tensors = put(model, table)
    before = {tensor.name: survey.digest_tensor(tensor.parameter) for tensor in tensors}
    with torch.no_grad():
        for number, tensor in enumerate(tensors):
            noise = torch.Generator().manual_seed(number)
            tensor.parameter.add_(torch.randn(tensor.parameter.shape, generator=noise) * 0.1)
    parts = world.parts.copy()
    keys = {key for own in modules for t in own.parameters for key in table.checkpoint_keys(t.path)}
    parts.modules = evidence.module_rows(
        modules, survey.digests_now(modules), tensors, {t.name: 4 for t in tensors}, before,
        frozenset(), table, frozenset(keys),
    )  # fmt: skip
    parts.tensors = {
        tensor.name: (
            survey.dtype_name(tensor.parameter),
            tuple(tensor.parameter.shape),
            bytes(survey.raw_bytes(tensor.parameter)),
        )
        for tensor in tensors
    }
    parts.lock["base"]["family"] = name
    parts.lock["base"]["papers"] = list(table.papers)
    stored = [p for row in parts.modules for p in row["parameters"] if p["checkpoint"]]
    parts.lock["base"]["parameters"] = sum(parameter["elements"] for parameter in stored)
    parts.lock["base"]["tensors"] = sum(len(parameter["checkpoint"]) for parameter in stored)
    parts.lock["train"]["method"] = lock_block(table)
    parts.lock["train"]["projector_learning_rate"] = "0"  # it does not train (L6)
    return parts


@pytest.mark.parametrize("name", sorted(LANDS))
def test_it_is_refused_whatever_the_list_of_modules_says(world: World, name: str) -> None:
    assert not world.audit(packed(world, name, by_kolm)).failed & SCOPE
    told, honest = outside(name), packed(world, name, by_suffix)

    def refused(parts: BundleParts) -> set[str]:
        answers = world.audit(parts)
        assert answers.report.conclusions.delta_scope.verdict is Verdict.FAILED
        findings = " ".join(str(finding.where) for finding in answers["V22"].findings)
        assert any(f".{module}.lora_A.weight" in findings for module in told)
        return answers.failed & SCOPE

    assert "V22" in refused(honest)

    as_frozen = honest.copy()
    for row in as_frozen.modules:
        if row["module"] in told:
            row["state"], row["adapter"], row["weight_norm"] = "frozen", [], None
    assert "V22" in refused(as_frozen)

    as_language = honest.copy()
    for row in as_language.modules:
        if row["module"] in told:
            row["role"] = "language"
    assert refused(as_language) >= {"V21", "V22"}
