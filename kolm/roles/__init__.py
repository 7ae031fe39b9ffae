"""Roles: which tensor of a base is vision, projector, language or head.

Torch-free tables, one file a family and one line here; training builds its LoRA targets from
them, and the verifier recomputes every role from them instead of believing a bundle. The rules
in words: docs/format/roles.md.
"""

from __future__ import annotations

from kolm.errors import Refused
from kolm.roles import (
    idefics3,
    internvl,
    llava,
    llava_next,
    llava_onevision,
    qwen2_5_vl,
    qwen2_vl,
    qwen3_5,
    qwen3_5_moe,
    qwen3_vl,
    qwen3_vl_moe,
    smolvlm,
)
from kolm.roles.family import Config, Family, Role, Stack, Taps

FAMILIES: dict[str, Family] = {
    module.FAMILY.model_type: module.FAMILY
    for module in (
        qwen2_vl,
        qwen2_5_vl,
        qwen3_vl,
        qwen3_vl_moe,
        qwen3_5,
        qwen3_5_moe,
        llava,
        llava_next,
        llava_onevision,
        idefics3,
        smolvlm,
        internvl,
    )
}

# Known by name and refused on purpose: the reason is worth more than "unknown".
_REFUSED = {
    "phi3_v": "its code is not part of transformers, and remote code is never run",
    "cambrian": "its vision tower is in a plain Python list, which torch does not search",
    "cambrian_llama": "its vision tower is in a plain Python list, which torch does not search",
    "internvl_chat": "its code is not part of transformers, and remote code is never run",
}

__all__ = ["FAMILIES", "Config", "Family", "Role", "Stack", "Taps", "family"]


def family(model_type: str) -> Family:
    """The table of a family by its ``model_type``.

    Raises:
        Refused: there is no table, so no role can be told and nothing is trained or vouched for.
    """
    table = FAMILIES.get(model_type)
    if table is None:
        raise Refused(
            "E_ROLES_UNKNOWN_FAMILY",
            _REFUSED.get(model_type, "there is no role table for this family of models"),
            where="config.json model_type",
            expected=", ".join(sorted(FAMILIES)),
            found=model_type,
            hint="use a base of one of these families; kolm help concepts/code says how to add one",
        )
    return table
