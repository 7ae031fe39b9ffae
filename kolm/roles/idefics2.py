"""Roles of Idefics2.

The projector is a resampler: it reads every patch of a picture, through a mask over the grid that
all pictures of a call share, and gives a fixed number of features. A list of suffixes such as
q_proj would adapt the tower and the resampler, whose attention has the same names. Source:
transformers, ``modeling_idefics2.py`` and ``processing_idefics2.py``.
"""

from __future__ import annotations

from kolm.roles import idefics3
from kolm.roles.family import Config, Taps


def grid_of_patches(config: Config) -> Taps:
    """The resampler reads what the tower gives at its end, a place for each patch."""
    patch = (config.get("vision_config") or {}).get("patch_size", 32)
    return idefics3.whole_tower(config)._replace(patch=patch)


FAMILY = idefics3.FAMILY._replace(
    model_type="idefics2",
    taps=grid_of_patches,
    edge="<fake_token_around_image>",
    papers=("arXiv:2405.02246",),
    license_note="Apache-2.0",
)
