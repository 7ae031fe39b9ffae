"""Roles of LLaVA-OneVision.

As LLaVA-NeXT, with a SigLIP tower. A picture that stands among others in its sample is not cut into
tiles, and so has fewer tokens than alone. Source: transformers, ``modeling_llava_onevision.py``.
"""

from __future__ import annotations

from kolm.roles import llava, llava_next
from kolm.roles.family import Config

_TOWER = "model.vision_tower"

# The published one writes 'assistant ' before a finished answer and 'assistant' before one that is
# to come; this one writes the latter.
_TEMPLATE = """\
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
{{- '<|im_start|>assistant\n' -}}
{% generation %}{% for block in message.content %}{{ block.text }}{% endfor %}\
{{ '<|im_end|>' }}{% endgeneration %}
{%- else -%}
{{- '<|im_start|>' + message.role + ' ' -}}
{%- for block in message.content if block.type == 'image' -%}{{ '<image>' }}{%- endfor -%}
{%- for block in message.content if block.type == 'text' -%}{{ '\n' + block.text }}{%- endfor -%}
{{- '<|im_end|>' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}
"""


def unread_layers(config: Config) -> tuple[str, ...]:
    """SigLIP's layers after the last one whose output is used, and what comes after all of them.

    ``vision_feature_layer`` counts outputs: 0 is the embeddings', a negative one is from the end.
    """
    depth = config.get("vision_config", {}).get("num_hidden_layers", 26)
    used = llava.layers_used(config.get("vision_feature_layer", -1), depth)
    layers = tuple(rf"{_TOWER}\.encoder\.layers\.{number}\..+" for number in range(used, depth))
    return (*layers, rf"{_TOWER}\.post_layernorm\..+", rf"{_TOWER}\.head\..+")


FAMILY = llava_next.FAMILY._replace(
    model_type="llava_onevision",
    papers=("arXiv:2408.03326",),
    unreachable=unread_layers,
    training_templates=(_TEMPLATE,),
    license_note="Apache-2.0; the 72B: the Qwen licence, with terms of its own",
)
