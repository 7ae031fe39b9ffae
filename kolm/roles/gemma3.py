"""Roles of Gemma 3.

Part of the projector is a bare parameter, which no list of linear layers reaches. The tokens of an
image see each other. Source: transformers, ``modeling_gemma3.py`` and ``modeling_siglip.py``.
"""

from __future__ import annotations

from kolm.roles import llava
from kolm.roles.family import Config

_TOWER = "model.vision_tower"
# What Gemma's tokenizers add to their vocabulary though it is text: line ends, spaces, tags.
TEXT_TOKENS = r"\n+|▁+|</?[a-z]+[1-6]?>"


def unread_head(config: Config) -> tuple[str, ...]:
    """The head that pools a whole picture: no published base has it."""
    return (rf"{_TOWER}\.head\..+",)


FAMILY = llava.FAMILY._replace(
    model_type="gemma3",
    papers=("arXiv:2503.19786",),
    unreachable=unread_head,
    branches=False,
    placeholder="<start_of_image>",
    text_tokens=TEXT_TOKENS,
    training_templates=(),
    license_note="the Gemma terms of use",
)
