"""Roles of GLM-4.1V.

What makes one token of four patches, ``downsample``, is the projector's first layer; gate and up
are one layer in the language blocks and two in the tower. Source: transformers,
``modeling_glm4v.py``.
"""

from __future__ import annotations

from kolm.roles import qwen2_5_vl
from kolm.roles.family import Config, Role, Stack, Taps

# The published one writes nothing after the last answer, so that what is trained on it never stops:
# an answer ends with the token that begins the next question.
_TEMPLATE = """\
[gMASK]<sop>
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
<|assistant|>{{ '\\n' }}{% generation %}{% for block in message.content %}{{ block.text }}\
{% endfor %}<|user|>{% endgeneration %}
{%- else -%}
{%- if message.role == 'system' -%}<|system|>
{%- elif loop.first or messages[loop.index0 - 1].role != 'assistant' -%}<|user|>{%- endif -%}
{{ '\\n' }}
{%- for block in message.content -%}
{%- if block.type == 'image' -%}<|begin_of_image|><|image|><|end_of_image|>
{%- else -%}{{ block.text }}{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{{ '\\n' }}{%- endif -%}
"""


def end_of_blocks(config: Config) -> Taps:
    """The projector reads the norm after the last vision block."""
    depth = config.get("vision_config", {}).get("depth", 24)
    blocks = tuple(f"model.visual.blocks.{number}" for number in range(depth))
    first = ("patch_embed", "post_conv_layernorm", "embeddings")
    return Taps(
        recorded=("model.visual.post_layernorm",),
        passed=(*(f"model.visual.{name}" for name in first), *blocks),
    )


FAMILY = qwen2_5_vl.FAMILY._replace(
    model_type="glm4v",
    prefixes={
        Role.VISION: (
            "model.visual.patch_embed",
            "model.visual.post_conv_layernorm",
            "model.visual.embeddings",
            "model.visual.rotary_pos_emb",
            "model.visual.blocks",
            "model.visual.post_layernorm",
        ),
        Role.PROJECTOR: ("model.visual.downsample", "model.visual.merger"),
        Role.LANGUAGE: ("model.language_model",),
        Role.HEAD: ("lm_head",),
    },
    projector_modules=("model.visual.downsample", "model.visual.merger"),
    language=Stack(
        blocks="model.language_model.layers",
        leaves={
            **dict.fromkeys(("q_proj", "k_proj", "v_proj", "o_proj"), ("self_attn",)),
            **dict.fromkeys(("gate_up_proj", "down_proj"), ("mlp",)),
        },
    ),
    taps=end_of_blocks,
    papers=("arXiv:2507.01006",),
    spellings={},
    training_templates=(_TEMPLATE,),
    license_note="MIT",
)
