"""Roles of Gemma 4.

The linear layers of the tower lie inside others of the library's own kind, so that only names that
say where they lie reach the language alone. Some sizes hear as well: that tower is the audio role.
One size chooses among experts, which stay frozen; its router is a linear layer like others.
Source: transformers, ``modeling_gemma4.py``.
"""

from __future__ import annotations

import re

from kolm.roles import gemma3
from kolm.roles.family import DECODER_LEAVES, Config, Role, Stack

_TOWER = "model.vision_tower"


def sound(config: Config) -> tuple[str, ...]:
    """What hears: captures hold no sound."""
    return (r"model\.(?:audio_tower|embed_audio)\..+",)


def in_blocks(config: Config) -> bool:
    """The small sizes have one, and so has the library's own default."""
    text = config.get("text_config") or {}
    return bool(text.get("hidden_size_per_layer_input", 256))


FAMILY = gemma3.FAMILY._replace(
    model_type="gemma4",
    prefixes={
        Role.VISION: (_TOWER,),
        Role.AUDIO: ("model.audio_tower", "model.embed_audio"),
        Role.PROJECTOR: ("model.embed_vision",),
        Role.LANGUAGE: ("model.language_model",),
        Role.HEAD: ("lm_head",),
    },
    projector_modules=("model.embed_vision",),
    language=Stack(
        blocks="model.language_model.layers",
        leaves={
            **DECODER_LEAVES,
            **dict.fromkeys(("per_layer_input_gate", "per_layer_projection"), ("",)),
            "proj": ("router",),
        },
    ),
    vision=Stack(
        blocks=f"{_TOWER}.encoder.layers",
        leaves={
            "linear": tuple(
                f"{parent}.{leaf}" for leaf, (parent,) in sorted(DECODER_LEAVES.items())
            )
        },
    ),
    papers=(),
    spellings={},
    left_out=(
        r"model\..+\.layer_scalar",
        r"model\..+\.(?:input|output)_(?:min|max)",
        rf"{re.escape(_TOWER)}\.std_(?:bias|scale)",
    ),
    unreachable=sound,
    eager=lambda config: ("audio_config",),
    own_tables=in_blocks,
    placeholder=None,
    license_note="Apache-2.0",
)
