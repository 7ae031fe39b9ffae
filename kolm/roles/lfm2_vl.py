"""Roles of LFM2-VL.

Most layers of its language model are short convolutions with names of their own, which a list of
suffixes such as q_proj misses; ``out_proj`` stands in both kinds. Features of a picture are taken
from a sequence that is filled up to a fixed length. Source: transformers, ``modeling_lfm2_vl.py``,
``modeling_lfm2.py`` and ``modeling_siglip2.py``.
"""

from __future__ import annotations

from kolm.roles import gemma3, llava
from kolm.roles.family import Stack

_TOWER = "model.vision_tower"

FAMILY = llava.FAMILY._replace(
    model_type="lfm2_vl",
    language=Stack(
        blocks="model.language_model.layers",
        leaves={
            **dict.fromkeys(("q_proj", "k_proj", "v_proj"), ("self_attn",)),
            "in_proj": ("conv",),
            "out_proj": ("conv", "self_attn"),
            **dict.fromkeys(("w1", "w2", "w3"), ("feed_forward",)),
        },
    ),
    mixed=("out_proj",),
    fed_forward=("w2",),
    papers=("arXiv:2511.23404", "arXiv:2502.14786"),
    spellings={_TOWER: (f"{_TOWER}.vision_model",)},
    unreachable=gemma3.unread_head,
    branches=False,
    text_tokens=r"[A-Za-z]+",
    training_templates=(),
    license_note="the LFM Open License: free below a yearly revenue that it names",
)
