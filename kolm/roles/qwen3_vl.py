"""Roles of Qwen3-VL.

The tower ends in several places: deepstack mergers project what some inner blocks give, and the
decoder's first layers add it to their own states. Source: transformers, ``modeling_qwen3_vl.py``.
"""

from __future__ import annotations

from kolm.roles import qwen2_vl
from kolm.roles.family import Config, Role, Stack, Taps

_TURNS = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\n' -}}
{%- if message.role == 'assistant' -%}
{{- 'OPENED' -}}
{% generation %}{{ 'CLOSED' }}{% for block in message.content %}{{ block.text }}{% endfor %}\
{{ '<|im_end|>' }}{% endgeneration %}
{%- else -%}
{%- for block in message.content -%}
{%- if block.type == 'image' -%}{{ '<|vision_start|><|image_pad|><|vision_end|>' }}\
{%- else -%}{{ block.text }}{%- endif -%}
{%- endfor -%}
{{- '<|im_end|>' -}}
{%- endif -%}
{{- '\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\nOPENED' -}}{%- endif -%}
"""


def training_template(opened: str, closed: str) -> str:
    """Turns between control tokens, for bases that think and show no thought of earlier turns, so
    that no turn is the beginning of the next.

    Args:
        opened: what stands before every answer.
        closed: what every answer begins with.
    """
    return _TURNS.replace("OPENED", opened).replace("CLOSED", closed)


# Of a base that always thinks: the thought that the prompt opens is empty.
THINKING = training_template("<think>\n", "\n</think>\n\n")


def read_blocks(config: Config) -> Taps:
    """The last vision block, which the merger reads, and those that the deepstack mergers read."""
    vision = config.get("vision_config", {})
    depth = vision.get("depth", 27)
    read = {*vision.get("deepstack_visual_indexes", (8, 16, 24)), depth - 1}
    blocks = [f"model.visual.blocks.{number}" for number in range(depth)]
    return Taps(
        recorded=tuple(blocks[number] for number in sorted(read)),
        passed=(
            "model.visual.patch_embed",
            *(block for number, block in enumerate(blocks) if number not in read),
        ),
    )


FAMILY = qwen2_vl.FAMILY._replace(
    model_type="qwen3_vl",
    prefixes={
        **qwen2_vl.FAMILY.prefixes,
        Role.VISION: (*qwen2_vl.FAMILY.prefixes[Role.VISION], "model.visual.pos_embed"),
        Role.PROJECTOR: ("model.visual.merger", "model.visual.deepstack_merger_list"),
    },
    projector_modules=("model.visual.merger", "model.visual.deepstack_merger_list"),
    vision=Stack(
        blocks="model.visual.blocks",
        leaves={
            **dict.fromkeys(("qkv", "proj"), ("attn",)),
            **dict.fromkeys(("linear_fc1", "linear_fc2"), ("mlp",)),
        },
    ),
    taps=read_blocks,
    papers=("arXiv:2511.21631",),
    spellings={},
    training_templates=(THINKING,),
    license_note="Apache-2.0",
)
