"""Roles of Phi-3, Phi-3.5 and Phi-4 of text alone: the names of Llama, with fused layers.

Queries, keys and values are made by one linear layer, and gate and up by another. Source:
transformers, ``modeling_phi3.py``.
"""

from __future__ import annotations

from kolm.roles import llama
from kolm.roles.family import Stack

_TURNS = """\
{%- for message in messages -%}
{{- '<|' + message.role + '|>AFTER' -}}
{%- if message.role == 'assistant' -%}
{% generation %}{{ message.content + '<|end|>' }}{% endgeneration %}
{%- else -%}
{{- message.content + '<|end|>' -}}
{%- endif -%}
{{- 'AFTER' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>AFTER' -}}{%- endif -%}
"""

FAMILY = llama.FAMILY._replace(
    model_type="phi3",
    language=Stack(
        blocks="model.layers",
        leaves={
            **dict.fromkeys(("qkv_proj", "o_proj"), ("self_attn",)),
            **dict.fromkeys(("gate_up_proj", "down_proj"), ("mlp",)),
        },
    ),
    key_values=("qkv_proj",),
    papers=("arXiv:2404.14219", "arXiv:2503.01743", "arXiv:2412.08905"),
    left_out=(),
    # The published ones end a text that is not to be gone on with by a token more, so that no
    # dialogue goes on from its beginning. Phi-3 writes lines, Phi-4-mini does not.
    training_templates=(_TURNS.replace("AFTER", r"\n"), _TURNS.replace("AFTER", "")),
    license_note="MIT",
)
