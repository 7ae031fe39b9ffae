"""Roles of Qwen2.5-VL, and of every base that has its architecture (the embedded one too).

As Qwen2-VL, but the vision blocks have gate, up and down projections like the language blocks: a
list of suffixes would adapt the frozen tower. Source: transformers, ``modeling_qwen2_5_vl.py``.
"""

from __future__ import annotations

from kolm.roles import qwen2_vl
from kolm.roles.family import Stack

FAMILY = qwen2_vl.FAMILY._replace(
    model_type="qwen2_5_vl",
    vision=Stack(
        blocks="model.visual.blocks",
        leaves={
            "qkv": ("attn",),
            "proj": ("attn",),
            "gate_proj": ("mlp",),
            "up_proj": ("mlp",),
            "down_proj": ("mlp",),
        },
    ),
    papers=("arXiv:2502.13923",),
    license_note="7B and 32B: Apache-2.0; 3B: the Qwen research licence, not for commercial use; "
    "72B: the Qwen licence, with terms of its own",
)
