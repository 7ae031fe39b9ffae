"""Roles of Qwen2-VL.

The merger lies inside ``model.visual`` but is the projector: a rule by the word "visual" would
freeze it. Source: transformers, ``modeling_qwen2_vl.py``.
"""

from __future__ import annotations

from kolm.roles.family import DECODER_LEAVES, Config, Family, Role, Stack, Taps


def last_block(config: Config) -> Taps:
    """The merger reads the last vision block and nothing else of the tower."""
    depth = config.get("vision_config", {}).get("depth", 32)
    blocks = [f"model.visual.blocks.{number}" for number in range(depth)]
    return Taps(recorded=(blocks[-1],), passed=("model.visual.patch_embed", *blocks[:-1]))


FAMILY = Family(
    model_type="qwen2_vl",
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
    language=Stack(blocks="model.language_model.layers", leaves=DECODER_LEAVES),
    vision=Stack(
        blocks="model.visual.blocks",
        leaves={"qkv": ("attn",), "proj": ("attn",), "fc1": ("mlp",), "fc2": ("mlp",)},
    ),
    taps=last_block,
    papers=("arXiv:2409.12191",),
    spellings={"model.visual": ("visual",), "model.language_model": ("model",)},
    aliases={"lm_head.weight": "model.language_model.embed_tokens.weight"},
    branches=True,
    pixel_limits=True,
    license_note="2B and 7B: Apache-2.0; 72B: the Qwen licence, with terms of its own",
)
