"""Roles of Qwen2 and Qwen2.5: the names of Llama. Source: transformers, ``modeling_qwen2.py``."""

from __future__ import annotations

from kolm.roles import llama

FAMILY = llama.FAMILY._replace(
    model_type="qwen2",
    papers=("arXiv:2407.10671", "arXiv:2412.15115"),
    left_out=(),
    license_note="Apache-2.0; 3B: the Qwen research licence, not for commercial use; 72B: the Qwen "
    "licence, with terms of its own",
)
