"""Roles of Qwen3-VL with experts.

A layer's experts are two parameters of three axes: no linear layer, and so no target; they stay
frozen, as does the router. Checkpoints hold them as (expert, in, out), the model as
(expert, out, in). Source: transformers, ``modeling_qwen3_vl_moe.py`` and ``conversion_mapping.py``.
"""

from __future__ import annotations

from kolm.roles import qwen3_vl
from kolm.roles.family import DECODER_LEAVES, Stack

_LAYERS = "model.language_model.layers"

FAMILY = qwen3_vl.FAMILY._replace(
    model_type="qwen3_vl_moe",
    language=Stack(
        blocks=_LAYERS,
        leaves={leaf: own for leaf, own in DECODER_LEAVES.items() if own == ("self_attn",)},
    ),
    fed_forward=(),
    experts=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    swapped=(rf"{_LAYERS}\.[0-9]+\.mlp\.experts\..+",),
)
