"""Roles of Mistral: the names of Llama. Source: transformers, ``modeling_mistral.py``."""

from __future__ import annotations

from kolm.roles import llama

FAMILY = llama.FAMILY._replace(
    model_type="mistral",
    papers=("arXiv:2310.06825",),
    left_out=(),
    license_note="7B and Nemo: Apache-2.0; others: Mistral's research licence",
)
