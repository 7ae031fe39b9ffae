"""Roles of Qwen3.5 and 3.6 with experts.

A layer's experts are two parameters of three axes: no linear layer, and so no target; they stay
frozen, as does the router. The expert that all tokens share has linear layers. Published bases
hold a layer's experts together; what the library saves holds them one by one.
Source: transformers, ``modeling_qwen3_5_moe.py`` and ``conversion_mapping.py``.
"""

from __future__ import annotations

from kolm.roles import qwen3_5, qwen3_vl_moe
from kolm.roles.family import Stack

_EXPERTS = r"(model\.language_model\.layers\.[0-9]+\.mlp\.experts)"

FAMILY = qwen3_5.FAMILY._replace(
    model_type="qwen3_5_moe",
    language=Stack(
        blocks="model.language_model.layers",
        leaves={
            **qwen3_5.ATTENTION_LEAVES,
            **dict.fromkeys(("gate_proj", "up_proj", "down_proj"), ("mlp.shared_expert",)),
            "shared_expert_gate": ("mlp",),
        },
    ),
    experts=qwen3_vl_moe.FAMILY.experts,
    parts={
        rf"{_EXPERTS}\.gate_up_proj": ("gate_proj.weight", "up_proj.weight"),
        rf"{_EXPERTS}\.down_proj": ("down_proj.weight",),
    },
)
