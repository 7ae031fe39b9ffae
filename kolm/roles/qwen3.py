"""Roles of Qwen3: the names of Llama, with a norm of queries and keys.

Source: transformers, ``modeling_qwen3.py``.
"""

from __future__ import annotations

from kolm.roles import llama

_TURNS = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' -}}
{%- if message.role == 'assistant' -%}
{{- 'OPENED' -}}
{% generation %}{{ 'CLOSED' + message.content + '<|im_end|>' }}{% endgeneration %}
{%- else -%}
{{- message.content + '<|im_end|>' -}}
{%- endif -%}
{{- '\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\nOPENED' -}}{%- endif -%}
"""


def _template(opened: str, closed: str) -> str:
    """As of Qwen3-VL: turns none of which is the beginning of the next in the published form."""
    return _TURNS.replace("OPENED", opened).replace("CLOSED", closed)


FAMILY = llama.FAMILY._replace(
    model_type="qwen3",
    papers=("arXiv:2505.09388",),
    left_out=(),
    template_options={"enable_thinking": False},
    # Before every answer what the published one writes before the last with `enable_thinking` off;
    # and of a base that always thinks an empty thought.
    training_templates=(
        _template(r"<think>\n\n</think>\n\n", ""),
        _template(r"<think>\n", r"\n</think>\n\n"),
    ),
    license_note="Apache-2.0",
)
