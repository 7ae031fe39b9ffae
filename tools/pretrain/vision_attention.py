"""Vision attention over many images in one call.

The library's scaled-dot-product path splits the patches of a batch by image and loops in Python.
Images of one grid have runs of one length, so a single batched call does the same work; its
results are equal bit for bit (tests/unit/models). Mixed grids take the library's own path.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def batched_vision_attention(model: Any) -> Iterator[None]:
    """While this holds, the model's Qwen2.5-VL tower attends over equal runs in one call."""
    attentions = [block.attn for block in model.model.visual.blocks]
    for attention in attentions:
        attention.forward = _batched(attention)
    try:
        yield
    finally:
        for attention in attentions:
            del attention.forward


def _batched(attention: Any) -> Any:
    stock = attention.forward

    def forward(
        hidden_states: Any, cu_seqlens: Any, position_embeddings: Any = None, **rest: Any
    ) -> Any:
        lengths = cu_seqlens[1:] - cu_seqlens[:-1]
        if len(lengths) < 2 or bool((lengths != lengths[0]).any()):
            return stock(hidden_states, cu_seqlens, position_embeddings=position_embeddings, **rest)
        return _attend(attention, hidden_states, len(lengths), position_embeddings)

    return forward


def _attend(attention: Any, hidden: Any, runs: int, position_embeddings: Any) -> Any:
    from torch.nn.functional import scaled_dot_product_attention
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb_vision

    patches, heads = hidden.shape[0], attention.num_heads
    query, key, value = (
        attention.qkv(hidden).reshape(patches, 3, heads, -1).permute(1, 0, 2, 3).unbind(0)
    )
    query, key = apply_rotary_pos_emb_vision(query, key, *position_embeddings)
    query, key, value = (
        part.reshape(runs, patches // runs, heads, -1).transpose(1, 2)
        for part in (query, key, value)
    )
    out = scaled_dot_product_attention(query, key, value, scale=attention.scaling)
    return attention.proj(out.transpose(1, 2).reshape(patches, -1))
