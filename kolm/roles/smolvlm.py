"""Roles of SmolVLM and SmolVLM2: the structure of Idefics3. Source: ``modeling_smolvlm.py``."""

from __future__ import annotations

from kolm.roles import idefics3

FAMILY = idefics3.FAMILY._replace(
    model_type="smolvlm", papers=("arXiv:2504.05299",), license_note="Apache-2.0"
)
