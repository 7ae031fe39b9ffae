"""Roles of Aya Vision.

Pixel shuffle lies inside the projector. Source: transformers, ``modeling_aya_vision.py``.
"""

from __future__ import annotations

from kolm.roles import gemma3, llava
from kolm.roles.family import Config


def unread_layers(config: Config) -> tuple[str, ...]:
    """As of LLaVA, counted from the last layer where nothing is stated; and the head that pools a
    whole picture, which no published base has."""
    stated = {"vision_feature_layer": -1, **config}
    return (*llava.unread_layers(stated), *gemma3.unread_head(config))


FAMILY = llava.FAMILY._replace(
    model_type="aya_vision",
    papers=("arXiv:2505.08751",),
    unreachable=unread_layers,
    branches=False,
    placeholder="<image>",
    training_templates=(),
    license_note="CC-BY-NC-4.0: not for commercial use",
)
