"""Roles of Mistral 3 with pictures: Pixtral's tower, which makes one sequence of all of them.

Its attention and feed-forward layers have the names that a Llama's have: a list of suffixes would
adapt the tower whole. Source: transformers, ``modeling_mistral3.py`` and ``modeling_pixtral.py``.
"""

from __future__ import annotations

from kolm.roles import llava
from kolm.roles.family import Config, Stack, Taps

_TOWER = "model.vision_tower"


def packed_tower(config: Config) -> Taps:
    """The projector reads what the tower gives, all pictures one after the other."""
    return llava.whole_tower(config)._replace(packed=True)


def unread_layers(config: Config) -> tuple[str, ...]:
    """The tower's layers after the last one whose output is used: none as published."""
    depth = config.get("vision_config", {}).get("num_hidden_layers", 24)
    used = llava.layers_used(config.get("vision_feature_layer", -1), depth)
    return tuple(rf"{_TOWER}\.transformer\.layers\.{number}\..+" for number in range(used, depth))


FAMILY = llava.FAMILY._replace(
    model_type="mistral3",
    vision=Stack(
        blocks=f"{_TOWER}.transformer.layers",
        leaves={
            **dict.fromkeys(("q_proj", "k_proj", "v_proj", "o_proj"), ("attention",)),
            **dict.fromkeys(("gate_proj", "up_proj", "down_proj"), ("feed_forward",)),
        },
    ),
    taps=packed_tower,
    papers=("arXiv:2410.07073",),
    spellings={**llava.FAMILY.spellings, _TOWER: ("vision_tower",)},
    unreachable=unread_layers,
    least_tokens=2,
    training_templates=(),
    license_note="Mistral Small 3.1 and 3.2: Apache-2.0",
)
