"""Roles of LLaVA-1.5.

A list of suffixes such as q_proj would adapt the tower, whose attention has the same names.
Source: transformers, ``modeling_llava.py`` and ``modeling_clip.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

from kolm.roles.family import DECODER_LEAVES, Config, Family, Role, Stack, Taps

_TOWER = "model.vision_tower"
# The linear layers of a block of CLIP's or SigLIP's.
TOWER_LEAVES = {
    **dict.fromkeys(("q_proj", "k_proj", "v_proj", "out_proj"), ("self_attn",)),
    **dict.fromkeys(("fc1", "fc2"), ("mlp",)),
}

# The published one writes no token that ends an answer, so that what is trained on it never stops,
# and leaves the space before an answer out of the prompt alone. The space is the answer's here: the
# first word's token begins with it.
TEMPLATE = """\
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
ASSISTANT:{% generation %}{{ ' ' }}{% for block in message.content %}{{ block.text }}{% endfor %}\
{{ eos_token }}{% endgeneration %}
{%- else -%}
{%- if message.role == 'user' -%}{{ 'USER: ' }}{%- endif -%}
{%- for block in message.content if block.type == 'image' -%}{{ '<image>\n' }}{%- endfor -%}
{%- for block in message.content if block.type == 'text' -%}{{ block.text + ' ' }}{%- endfor -%}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}ASSISTANT:{%- endif -%}
"""


def whole_tower(config: Config) -> Taps:
    """The projector reads what the tower gives: one layer's output, by the config."""
    return Taps(recorded=(_TOWER,))


def unread_layers(config: Config) -> tuple[str, ...]:
    """CLIP's layers after the last one whose output is used, and the norm after all of them.

    ``vision_feature_layer`` counts outputs: 0 is the embeddings', a negative one is from the end.
    """
    depth = config.get("vision_config", {}).get("num_hidden_layers", 24)
    used = layers_used(config.get("vision_feature_layer", -2), depth)
    layers = tuple(rf"{_TOWER}\.encoder\.layers\.{number}\..+" for number in range(used, depth))
    return (*layers, rf"{_TOWER}\.post_layernorm\..+")


def layers_used(stated: int | Sequence[int], depth: int) -> int:
    """How many of a tower's layers are run for what ``vision_feature_layer`` names."""
    outputs = [stated] if isinstance(stated, int) else stated
    return max(output if output >= 0 else depth + 1 + output for output in outputs)


FAMILY = Family(
    model_type="llava",
    prefixes={
        Role.VISION: (_TOWER,),
        Role.PROJECTOR: ("model.multi_modal_projector",),
        Role.LANGUAGE: ("model.language_model",),
        Role.HEAD: ("lm_head",),
    },
    projector_modules=("model.multi_modal_projector",),
    language=Stack(blocks="model.language_model.layers", leaves=DECODER_LEAVES),
    vision=Stack(
        blocks=f"{_TOWER}.encoder.layers",
        leaves=TOWER_LEAVES,
    ),
    taps=whole_tower,
    papers=("arXiv:2304.08485", "arXiv:2310.03744"),
    spellings={
        _TOWER: (
            "vision_tower.vision_model",
            "model.vision_tower.vision_model",
            "vision_tower",
        ),
        "model.multi_modal_projector": ("multi_modal_projector",),
        "model.language_model": ("language_model.model",),
        "lm_head": ("language_model.lm_head",),
    },
    aliases={"lm_head.weight": "model.language_model.embed_tokens.weight"},
    unreachable=unread_layers,
    branches=True,
    training_templates=(TEMPLATE,),
    license_note="built on Llama 2 or its Vicuna: the Llama 2 community licence applies",
)
