"""Qwen-VL: patches merged two by two, positions of three axes, turns between control tokens."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.support.families import texts
from tests.support.families.base import TinyBase, config_of, decoder, ids_of

_SPECIAL = (
    "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>", "<|quad_start|>",
    "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>",
    "<|video_pad|>",
)  # fmt: skip
_CONTENT = (
    "{% for block in message.content %}{% if block.type == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ block.text }}{% endif %}{% endfor %}"
)
_TURN = "<|im_start|>{{ message.role }}\n" + _CONTENT + "<|im_end|>\n"
_ASKED = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
# Qwen2-VL and Qwen2.5-VL write a system turn of their own where a conversation has none.
_QWEN2 = (
    "{% for message in messages %}{% if loop.first and message.role != 'system' %}"
    "<|im_start|>system\nYou help.<|im_end|>\n{% endif %}" + _TURN + "{% endfor %}" + _ASKED
)


def _processor(model_type: str, template: str, plain: tuple[str, ...] = ()) -> Any:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
        Qwen2VLImageProcessorPil,
    )

    from kolm.models.processor import without_videos

    images = Qwen2VLImageProcessorPil(
        patch_size=8,
        merge_size=2,
        temporal_patch_size=2,
        size={"shortest_edge": 256, "longest_edge": 4096},
    )
    tokenizer = texts.qwen(special=_SPECIAL, plain=plain)
    return without_videos(model_type)(images, tokenizer, chat_template=template)


def _config(model_type: str, tokenizer: Any, **vision: Any) -> Any:
    names = {
        "image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>",
    }  # fmt: skip
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
    return config_of(
        model_type,
        text_config=decoder(tokenizer, rope_parameters=rope, tie_word_embeddings=True),
        vision_config={"depth": 4, "patch_size": 8, "num_heads": 2, **vision},
        tie_word_embeddings=True,
        **{name: tokenizer.convert_tokens_to_ids(token) for name, token in names.items()},
        **ids_of(tokenizer),
    )


BASES = {
    "qwen2_vl": TinyBase(
        partial(_config, "qwen2_vl", embed_dim=32, hidden_size=64),
        partial(_processor, "qwen2_vl", _QWEN2),
    ),
    "qwen2_5_vl": TinyBase(
        partial(
            _config, "qwen2_5_vl", hidden_size=32, intermediate_size=64, out_hidden_size=64,
            window_size=32, fullatt_block_indexes=[1, 3],
        ),
        partial(_processor, "qwen2_5_vl", _QWEN2, ("<tool_call>", "</tool_call>")),
    ),
}  # fmt: skip
