"""Roles of Gemma 3 without pictures, as the 1B and 270M are: the names of Llama.

Source: transformers, ``modeling_gemma3.py``.
"""

from __future__ import annotations

from kolm.roles import gemma2

FAMILY = gemma2.FAMILY._replace(
    model_type="gemma3_text",
    papers=("arXiv:2503.19786",),
    eager=lambda config: (),
)
