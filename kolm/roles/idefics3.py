"""Roles of Idefics3.

A picture is cut into tiles, and its tokens stand in the prompt in several runs. A list of suffixes
such as q_proj would adapt the tower, whose attention has the same names. Source: transformers,
``modeling_idefics3.py``.
"""

from __future__ import annotations

from kolm.roles import llava
from kolm.roles.family import DECODER_LEAVES, Config, Family, Role, Stack, Taps

_TOWER = "model.vision_model"


def whole_tower(config: Config) -> Taps:
    """The connector reads what the tower gives at its end."""
    return Taps(recorded=(_TOWER,))


FAMILY = Family(
    model_type="idefics3",
    prefixes={
        Role.VISION: (_TOWER,),
        Role.PROJECTOR: ("model.connector",),
        Role.LANGUAGE: ("model.text_model",),
        Role.HEAD: ("lm_head",),
    },
    projector_modules=("model.connector",),
    language=Stack(blocks="model.text_model.layers", leaves=DECODER_LEAVES),
    vision=Stack(blocks=f"{_TOWER}.encoder.layers", leaves=llava.TOWER_LEAVES),
    taps=whole_tower,
    papers=("arXiv:2408.12637",),
    aliases={"lm_head.weight": "model.text_model.embed_tokens.weight"},
    branches=True,
    license_note="Apache-2.0; built on Llama 3, whose community licence applies to the 8B",
)
