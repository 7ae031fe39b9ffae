"""Roles of Qwen2.5-VL, and of every base that has its architecture (the embedded one too).

The merger lies inside ``model.visual`` but is the projector: a rule by the word "visual" would
freeze it. The vision blocks have gate, up and down projections like the language blocks: a list
of suffixes would adapt the frozen tower. Source: transformers, ``modeling_qwen2_5_vl.py``.
"""

from __future__ import annotations

from kolm.roles.family import Family, Role, Stack

FAMILY = Family(
    model_type="qwen2_5_vl",
    prefixes={
        Role.VISION: (
            "model.visual.patch_embed",
            "model.visual.rotary_pos_emb",
            "model.visual.blocks",
        ),
        Role.PROJECTOR: ("model.visual.merger",),
        Role.LANGUAGE: ("model.language_model",),
        Role.HEAD: ("lm_head",),
    },
    projector_modules=("model.visual.merger",),
    language=Stack(
        blocks="model.language_model.layers",
        leaves={
            "q_proj": "self_attn",
            "k_proj": "self_attn",
            "v_proj": "self_attn",
            "o_proj": "self_attn",
            "gate_proj": "mlp",
            "up_proj": "mlp",
            "down_proj": "mlp",
        },
    ),
    vision=Stack(
        blocks="model.visual.blocks",
        leaves={
            "qkv": "attn",
            "proj": "attn",
            "gate_proj": "mlp",
            "up_proj": "mlp",
            "down_proj": "mlp",
        },
    ),
    renames=(("model.visual", "visual"), ("model.language_model", "model")),
    aliases={"lm_head.weight": "model.language_model.embed_tokens.weight"},
    unreachable=(),
    papers=("arXiv:2502.13923",),
)
