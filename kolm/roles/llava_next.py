"""Roles of LLaVA-NeXT (LLaVA-1.6).

As LLaVA-1.5, but pictures come in tiles, and the projector puts a learned vector at the end of each
row of them. That is a bare parameter of the model: no module of its own, so it stays frozen while
the rest of the projector is trained. Source: transformers, ``modeling_llava_next.py``.
"""

from __future__ import annotations

from kolm.roles import llava
from kolm.roles.family import Role

NEWLINE = "model.image_newline"

# As for LLaVA-1.5, in the form of the bases on Mistral.
_MISTRAL = """\
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
{% generation %}{{ ' ' }}{% for block in message.content %}{{ block.text }}{% endfor %}\
{{ eos_token }}{% endgeneration %}
{%- else -%}
{{- '<<SYS>>\n' if message.role == 'system' else '[INST] ' -}}
{%- for block in message.content if block.type == 'image' -%}{{ '<image>\n' }}{%- endfor -%}
{%- for block in message.content if block.type == 'text' -%}{{ block.text }}{%- endfor -%}
{{- '\n<</SYS>>\n\n' if message.role == 'system' else ' [/INST]' -}}
{%- endif -%}
{%- endfor -%}
"""

FAMILY = llava.FAMILY._replace(
    model_type="llava_next",
    prefixes={
        **llava.FAMILY.prefixes,
        Role.PROJECTOR: (*llava.FAMILY.prefixes[Role.PROJECTOR], NEWLINE),
    },
    bare=(NEWLINE,),
    papers=("arXiv:2310.03744", "arXiv:2407.07895"),
    spellings={**llava.FAMILY.spellings, NEWLINE: ("image_newline",)},
    training_templates=(*llava.FAMILY.training_templates, _MISTRAL),
    license_note="that of the language model: Mistral and Qwen under Apache-2.0 or Qwen's own "
    "licence, Vicuna and Llama 3 under Llama's community licences, Yi under its own",
)
