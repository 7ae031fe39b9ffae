"""Roles of Command A Vision.

Pixel shuffle lies inside the projector, and all of the tower is read. Its checkpoints are younger
than the library's older names for the parts of such models. Source: transformers,
``modeling_cohere2_vision.py``.
"""

from __future__ import annotations

from kolm.roles import gemma3, llava

_TOWER = "model.vision_tower"

FAMILY = llava.FAMILY._replace(
    model_type="cohere2_vision",
    papers=("arXiv:2504.00698",),
    spellings={_TOWER: (f"{_TOWER}.vision_model",)},
    unreachable=gemma3.unread_head,
    branches=False,
    training_templates=(),
    license_note="CC-BY-NC-4.0: not for commercial use",
)
