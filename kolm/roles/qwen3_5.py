"""Roles of Qwen3.5 and 3.6, which share an architecture.

Most layers have linear attention with names of its own, which a list of suffixes such as q_proj
misses; every fourth has full attention. Source: transformers, ``modeling_qwen3_5.py``.
"""

from __future__ import annotations

from kolm.roles import qwen2_vl, qwen3_vl
from kolm.roles.family import DECODER_LEAVES, Config, Role, Stack, Taps

ATTENTION_LEAVES = {
    **{leaf: own for leaf, own in DECODER_LEAVES.items() if own == ("self_attn",)},
    **dict.fromkeys(
        ("in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a", "out_proj"), ("linear_attn",)
    ),
}

# The published one opens a thought that a captured answer does not have, and trims half of a text.
# This one writes what it writes with `enable_thinking` off, before every answer.
_ANSWERING = qwen3_vl.training_template("<think>\n\n</think>\n\n", "")


def last_block(config: Config) -> Taps:
    """The merger reads the last vision block and nothing else of the tower."""
    return qwen2_vl.last_block({"vision_config": {"depth": 27, **config.get("vision_config", {})}})


FAMILY = qwen3_vl.FAMILY._replace(
    model_type="qwen3_5",
    prefixes={**qwen3_vl.FAMILY.prefixes, Role.PROJECTOR: ("model.visual.merger",)},
    projector_modules=("model.visual.merger",),
    language=Stack(
        blocks="model.language_model.layers", leaves={**DECODER_LEAVES, **ATTENTION_LEAVES}
    ),
    key_values=("k_proj", "v_proj", "in_proj_qkv"),
    mixed=("o_proj", "out_proj"),
    taps=last_block,
    papers=("arXiv:2505.09388", "arXiv:2412.06464"),
    left_out=(r"mtp\..+",),
    branches=False,
    template_options={"enable_thinking": False},
    training_templates=(_ANSWERING, qwen3_vl.THINKING),
)
