"""Format: adapter_config.json, derived from the lock and the module list.

A closed list of keys, so that a verifier derives it again and compares bytes: no key can smuggle
in a replicated layer, another base or code. PEFT fills every key that is not here with its
default. The only member with JSON numbers, because PEFT demands them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import rfc8785

from kolm.methods import has_experts, method_of
from kolm.methods.projector import with_layers

if TYPE_CHECKING:
    from kolm.records.documents import Lock, ModulesRow


def derive(lock: Lock, modules: Iterable[ModulesRow]) -> bytes:
    """The bytes of adapter_config.json (RFC 8785, numbers as JSON numbers).

    Args:
        lock: spec.lock.json; its `train.method` and `base.id` are used.
        modules: the rows of modules.jsonl; those in state `trained` become `modules_to_save`, and
            adapted ones of the projector are targets by their full names, and experts'
            parameters `target_parameters`.

    Raises:
        Refused: ``E_ADAPTER_METHOD`` for a method or a setting that PEFT does not load.
    """
    method = method_of(lock["train"]["method"])
    # Each trained module by its full name: PEFT matches by suffix, and a full name is the suffix of
    # nothing else. What lies below one that is named comes with it, and PEFT takes it only so.
    rows = list(modules)
    trained = sorted(row["module"] for row in rows if row["state"] == "trained")
    tops = [name for name in trained if not any(name.startswith(f"{top}.") for top in trained)]
    layers = [
        row["module"] for row in rows if row["state"] == "adapted" and row["role"] == "projector"
    ]
    experts = [
        f"{row['module']}.{owned['name']}"
        for row in rows
        if row["state"] == "adapted" and has_experts(method, row["module"])
        for owned in row["parameters"]
    ]
    config: dict[str, Any] = {
        "base_model_name_or_path": lock["base"]["id"],
        "inference_mode": True,
        "modules_to_save": tops or None,
        "target_modules": with_layers(method.target_expression, layers),
        "task_type": "CAUSAL_LM",
        **({"target_parameters": sorted(experts)} if experts else {}),
        **method.peft(),
    }
    if config["target_modules"] is None:  # PEFT's prompts have none
        del config["target_modules"]
    return rfc8785.dumps(config)
