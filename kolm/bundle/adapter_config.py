"""The bundle: adapter_config.json, derived from the lock and the module list.

A closed list of keys, so that a verifier derives it again and compares bytes: no key can smuggle
in a replicated layer, another base or code. PEFT fills every key that is not here with its
default. The only member with JSON numbers, because PEFT demands them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import rfc8785

from kolm import canonical
from kolm.errors import Refused

# The PEFT methods that this file can describe, with the key that names them.
_METHODS: Final = ("lora",)


def derive(lock: Mapping[str, Any], modules: Iterable[dict[str, Any]]) -> bytes:
    """The bytes of adapter_config.json (RFC 8785, numbers as JSON numbers).

    Args:
        lock: spec.lock.json; its `train.method` and `base.id` are used.
        modules: the rows of modules.jsonl; those in state `trained` become `modules_to_save`.

    Raises:
        Refused: ``E_ADAPTER_METHOD`` for a method or a dropout that PEFT does not load.
    """
    method = lock["train"]["method"]
    if method["kind"] not in _METHODS:
        raise Refused(
            "E_ADAPTER_METHOD",
            "there is no PEFT config for this method",
            where="spec.lock.json#/train/method/kind",
            expected=", ".join(_METHODS),
            found=str(method["kind"])[:80],
        )
    # Each trained leaf module by its full name: PEFT matches by suffix, and a full name is the
    # suffix of nothing else.
    trained = sorted(row["module"] for row in modules if row["state"] == "trained")
    config = {
        "base_model_name_or_path": lock["base"]["id"],
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": method["alpha"],
        "lora_dropout": _share(method["dropout"]),
        "modules_to_save": trained or None,
        "peft_type": "LORA",
        "r": method["rank"],
        "target_modules": method["target_expression"],
        "task_type": "CAUSAL_LM",
        "use_dora": method["dora"],
        "use_rslora": method["rslora"],
    }
    return rfc8785.dumps(config)


def _share(text: str) -> float | int:
    where = "spec.lock.json#/train/method/dropout"
    value = canonical.parse_decimal(text, where=where)
    if not 0 <= value < 1:
        raise Refused(
            "E_ADAPTER_METHOD",
            "dropout must be at least 0 and below 1",
            where=where,
            expected="at least 0 and below 1",
            found=text[:80],
        )
    return float(value) if value else 0
