"""Roles: which tensor of a base is vision, projector, language or head.

Torch-free tables, one file a family and one line here; training builds its LoRA targets from
them, and the verifier recomputes every role from them instead of believing a bundle. The rules
in words: docs/format/roles.md.
"""

from __future__ import annotations

from kolm.errors import Refused
from kolm.roles.family import EMBEDDINGS, Beside, Config, Family, Role, Stack, Taps
from kolm.variants import Variants

FAMILIES: Variants[Family] = Variants(
    __name__,
    dict.fromkeys(
        (
            "qwen2_vl",
            "qwen2_5_vl",
            "qwen3_vl",
            "qwen3_vl_moe",
            "qwen3_5",
            "qwen3_5_moe",
            "llava",
            "llava_next",
            "llava_onevision",
            "idefics2",
            "idefics3",
            "smolvlm",
            "internvl",
            "mistral3",
            "gemma3",
            "gemma4",
            "paligemma",
            "glm4v",
            "aya_vision",
            "cohere2_vision",
            "lfm2_vl",
            "mllama",
            "minicpmv4_6",
            "minicpmv4_7",
            "llama",
            "qwen2",
            "qwen3",
            "mistral",
            "gemma2",
            "gemma3_text",
            "phi3",
        ),
        "FAMILY",
    ),
)

__all__ = [
    "EMBEDDINGS",
    "FAMILIES",
    "Beside",
    "Config",
    "Family",
    "Role",
    "Stack",
    "Taps",
    "family",
]


def family(model_type: str) -> Family:
    """The table of a family by its ``model_type``.

    Raises:
        Refused: there is no table, so no role can be told and nothing is trained or vouched for.
    """
    table = FAMILIES.get(model_type)
    if table is None:
        from kolm.roles.refused import REFUSED, UNKNOWN

        known = REFUSED.get(model_type, UNKNOWN)
        raise Refused(
            "E_ROLES_UNKNOWN_FAMILY",
            known.reason,
            where="config.json model_type",
            expected=", ".join(sorted(FAMILIES)),
            found=model_type,
            hint=known.instead,
        )
    return table
