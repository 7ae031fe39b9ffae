"""Roles of Gemma 2: the names of Llama.

Its attention is capped, which torch's kernel does not do. Source: transformers,
``modeling_gemma2.py``.
"""

from __future__ import annotations

from kolm.roles import gemma3, llama
from kolm.roles.family import Config


def softcapped(config: Config) -> tuple[str, ...]:
    """All of it, where attention is capped as published."""
    return ("",) if config.get("attn_logit_softcapping", 50.0) is not None else ()


FAMILY = llama.FAMILY._replace(
    model_type="gemma2",
    papers=("arXiv:2408.00118",),
    left_out=(),
    eager=softcapped,
    branches=False,
    text_tokens=gemma3.TEXT_TOKENS,
    license_note="the Gemma terms of use",
)
