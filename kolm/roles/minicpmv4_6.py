"""Roles of MiniCPM-V 4.6.

A layer inside the tower merges windows of patches, and the merger behind the tower merges again;
the language model is that of Qwen3.5. Pictures are cut into slices, all of which stand in one row
of patches, and each picture's number in the conversation is written before it. Source:
transformers, ``modeling_minicpmv4_6.py`` and ``processing_minicpmv4_6.py``.
"""

from __future__ import annotations

from kolm.roles import llava, qwen3_5
from kolm.roles.family import Config, Role, Stack, Taps

_TOWER = "model.vision_tower"
_WINDOWS = f"{_TOWER}.vit_merger"

# The published one trims half of a text, and leaves the closed thought out of earlier answers. This
# one writes it before every answer; like the published one it ends every part but the last of a
# message with a line.
_ANSWERING = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' -}}
{%- if message.role == 'assistant' -%}
{{- '<think>\\n\\n</think>\\n\\n' -}}
{% generation %}{% for block in message.content %}{{ block.text }}{% endfor %}\
{{ '<|im_end|>' }}{% endgeneration %}
{%- else -%}
{%- for block in message.content -%}
{%- if block.type == 'image' -%}{{ '<|image_pad|>' }}{%- else -%}{{ block.text }}{%- endif -%}
{%- if not loop.last -%}{{ '\\n' }}{%- endif -%}
{%- endfor -%}
{{- '<|im_end|>' -}}
{%- endif -%}
{{- '\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n' -}}
{%- endif -%}
"""


def whole_tower(config: Config) -> Taps:
    """The merger reads what the tower gives at its end: all pictures in one sequence."""
    return Taps(recorded=(_TOWER,), packed=True)


def skipped_windows(config: Config) -> tuple[str, ...]:
    """The windows' merger, where the config keeps four times as many features."""
    return (rf"{_WINDOWS}\..+",) if config.get("downsample_mode") == "4x" else ()


FAMILY = qwen3_5.FAMILY._replace(
    model_type="minicpmv4_6",
    prefixes={
        Role.VISION: (_TOWER,),
        Role.PROJECTOR: ("model.merger",),
        Role.LANGUAGE: ("model.language_model",),
        Role.HEAD: ("lm_head",),
    },
    projector_modules=("model.merger",),
    vision=Stack(blocks=f"{_TOWER}.encoder.layers", leaves=llava.TOWER_LEAVES),
    taps=whole_tower,
    papers=("arXiv:2509.18154", "arXiv:2412.06464"),
    unreachable=skipped_windows,
    pixel_limits=False,
    in_a_row=True,
    number="<image_id>{}</image_id>",
    training_templates=(_ANSWERING,),
)
