"""Roles of PaliGemma.

Pictures and question see each other whole, as a prefix; the answer sees what is before it. Places
and outlines in a picture are tokens that answers are written with. Source: transformers,
``modeling_paligemma.py`` and ``processing_paligemma.py``.
"""

from __future__ import annotations

from kolm.roles import gemma3
from kolm.roles.family import Config

# No base comes with a chat template. For one question this writes what the library's processor does
# with a prompt and a suffix; further questions follow, each on a line of its own.
_TEMPLATE = """\
{%- for message in messages -%}
{%- for block in message.content if block.type == 'image' -%}<image>{%- endfor -%}
{%- endfor -%}
{{ bos_token }}
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
{% generation %}{% for block in message.content %}{{ block.text }}{% endfor %}{{ eos_token }}\
{% endgeneration %}
{%- else -%}
{%- for block in message.content if block.type == 'text' -%}
{{ ' ' if not loop.first }}{{ block.text }}
{%- endfor -%}
{{ '\\n' }}
{%- endif -%}
{%- endfor -%}
"""


def softcapped(config: Config) -> tuple[str, ...]:
    """PaliGemma 2 caps attention, which torch's kernel does not."""
    text = config.get("text_config", {}).get("model_type")
    return ("text_config",) if text == "gemma2" else ()


FAMILY = gemma3.FAMILY._replace(
    model_type="paligemma",
    papers=("arXiv:2407.07726", "arXiv:2412.03555"),
    eager=softcapped,
    prefix_attention=True,
    placeholder=None,
    text_tokens=rf"{gemma3.TEXT_TOKENS}|<loc[0-9]{{4}}>|<seg[0-9]{{3}}>",
    training_templates=(_TEMPLATE,),
    template_published=False,
)
