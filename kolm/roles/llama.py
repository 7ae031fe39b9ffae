"""Roles of Llama, and of every model of text that transformers builds as a Llama.

There is no vision tower and no projector. The language role is named piece by piece, so that
whatever else lies under ``model`` has no role, and such a base is refused. Source: transformers,
``modeling_llama.py``.
"""

from __future__ import annotations

from kolm.roles.family import DECODER_LEAVES, Family, Role, Stack

FAMILY = Family(
    model_type="llama",
    prefixes={
        Role.LANGUAGE: ("model.embed_tokens", "model.layers", "model.norm", "model.rotary_emb"),
        Role.HEAD: ("lm_head",),
    },
    language=Stack(blocks="model.layers", leaves=DECODER_LEAVES),
    papers=("arXiv:2302.13971", "arXiv:2307.09288", "arXiv:2407.21783"),
    left_out=(r"model\.layers\.[0-9]+\.self_attn\.rotary_emb\.inv_freq",),
    aliases={"lm_head.weight": "model.embed_tokens.weight"},
    branches=True,
    license_note="Llama's community licence of its version; models of others in its form have "
    "their own",
)
