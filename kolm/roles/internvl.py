"""Roles of InternVL, in the form of transformers (types ``internvl_chat`` are remote code).

Pixel shuffle lies between tower and projector and has no weights. Source: transformers,
``modeling_internvl.py``.
"""

from __future__ import annotations

from kolm.roles import llava
from kolm.roles.family import Config, Stack

_TOWER = "model.vision_tower"


def unread_layers(config: Config) -> tuple[str, ...]:
    """The mask token, which only pretraining uses. Where ``vision_feature_layer`` names another
    output than the tower's own: the layers after it, and the norm after all of them."""
    unread = (rf"{_TOWER}\.embeddings\.mask_token",)
    depth = config.get("vision_config", {}).get("num_hidden_layers", 24)
    stated = config.get("vision_feature_layer", -1)
    if stated == -1:
        return unread
    layers = range(llava.layers_used(stated, depth), depth)
    after = tuple(rf"{_TOWER}\.encoder\.layer\.{number}\..+" for number in layers)
    return (*unread, *after, rf"{_TOWER}\.layernorm\..+")


FAMILY = llava.FAMILY._replace(
    model_type="internvl",
    vision=Stack(
        blocks=f"{_TOWER}.encoder.layer",
        leaves={
            "q_proj": ("attention",),
            "k_proj": ("attention",),
            "v_proj": ("attention",),
            "projection_layer": ("attention",),
            "fc1": ("mlp",),
            "fc2": ("mlp",),
        },
    ),
    papers=("arXiv:2312.14238", "arXiv:2504.10479"),
    spellings={**llava.FAMILY.spellings, _TOWER: ("vision_tower",)},
    unreachable=unread_layers,
    training_templates=(),
    license_note="MIT, with the terms of the language model: Qwen2.5 and Qwen3 under Apache-2.0, "
    "its 72B under the Qwen licence",
)
