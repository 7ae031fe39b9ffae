"""Under every spelling of its checkpoint a base has the same roles, and all of it is compared."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")

from safetensors.torch import load_file, save_file

from kolm import digest, methods
from kolm.actions.grounds import describe_base
from kolm.adapters.attach import attach
from kolm.bundle.base_root import base_root
from kolm.bundle.derived import Derived
from kolm.bundle.tensors import TensorEntry
from kolm.format.versions import CURRENT, rules_of
from kolm.methods.method import read_name
from kolm.models.load import load_model
from kolm.models.resolve import resolve_base
from kolm.records.verification import Verdict
from kolm.roles import FAMILIES, Family
from kolm.spec.options import resolve_method
from kolm.train import evidence, survey
from kolm.verify.checks.base import ANSWERS
from tests.support import families

pytestmark = pytest.mark.heavy


def respell(folder: Path, table: Family, number: int) -> None:
    """Store a base under the spelling of this number, where a parameter has so many."""
    weights = folder / "model.safetensors"
    stored = load_file(weights)
    named = {
        key: name
        for name, _ in families.model(table.model_type).named_parameters()
        for key in table.checkpoint_keys(name)
    }
    keys = {key: table.checkpoint_keys(named[key]) for key in stored if key in named}
    renamed = {
        keys[key][number % len(keys[key])] if key in keys else key: tensor
        for key, tensor in stored.items()
    }
    save_file(renamed, weights, metadata={"format": "pt"})


def looked_at(base: Path, table: Family) -> Any:
    """What the checks of a base read: the lock, the modules as training lists them, an adapter."""
    model, facts = load_model(base), base_root(base)
    method = methods.method_of(resolve_method({"kind": "lora"}, table, vision=False))
    modules = survey.survey_base(model, table)
    seed = digest.of_bytes(b"seed")
    projector = "full" if table.takes_pictures else None
    attached = attach(model, table, method, projector=projector, adapt_vision=False, seed=seed)
    rows = evidence.module_rows(
        modules,
        survey.digests_now(modules),
        attached.tensors,
        {tensor.name: 1 for tensor in attached.tensors},
        {tensor.name: digest.EMPTY for tensor in attached.tensors},
        frozenset(),
        table,
        frozenset(tensor.key for tensor in facts.tensors),
    )
    owned = {row["module"]: frozenset(p["name"] for p in row["parameters"]) for row in rows}
    adapter = [TensorEntry(t.name, "F32", (*t.parameter.shape,), 0, 0) for t in attached.tensors]
    return SimpleNamespace(
        adapter=adapter,
        adapter_names=[(entry, read_name(entry.name, method, owned)) for entry in adapter],
        auditor=SimpleNamespace(base_folder=lambda: base),
        base_facts=facts,
        derived=Derived(base, facts.tensors),
        known_family=lambda: table,
        lock={
            "base": describe_base(resolve_base(str(base)), facts),
            "train": {"precision": "float32", "quantisation": None},
        },
        method=method,
        modules=rows,
        rules=rules_of(CURRENT),
    )


def failures(subject: Any) -> set[str]:
    return {
        number
        for number, answer in ANSWERS.items()
        if any(finding.verdict is not Verdict.OK for finding in answer(subject))
    }


@pytest.mark.parametrize("table", FAMILIES.values(), ids=list(FAMILIES))
def test_every_spelling_has_the_same_roles_and_is_compared_whole(
    table: Family, tmp_path: Path
) -> None:
    base = families.save(table.model_type, tmp_path / "base")
    names = [name for name, _ in families.model(table.model_type).named_parameters()]
    roots, roles = set(), []
    for number in range(max(len(table.checkpoint_keys(name)) for name in names)):
        respell(base, table, number)
        subject = looked_at(base, table)
        assert failures(subject) == set(), number
        roots.add(subject.lock["base"]["root"])
        roles.append({row["module"]: row["role"] for row in subject.modules})
        listed = (p for row in subject.modules for p in row["parameters"])
        next(p for p in listed if "alias_of" not in p)["checkpoint"] = ["another"]
        assert failures(subject) == {"V42"}
    assert len(roots) == len(roles)  # each is a base of its own
    assert all(found == roles[0] for found in roles)


def test_a_buffer_that_the_checkpoint_stores_is_compared(tmp_path: Path) -> None:
    table = FAMILIES["gemma4"]
    subject = looked_at(families.save("gemma4", tmp_path / "base"), table)
    stored = {tensor.key for tensor in subject.base_facts.tensors}
    buffers = [
        buffer
        for row in subject.modules
        for buffer in row["buffers"]
        if not stored.isdisjoint(table.checkpoint_keys(f"{row['module']}.{buffer['name']}"))
    ]
    buffers[-1]["before"] = digest.EMPTY
    assert failures(subject) == {"V42"}
