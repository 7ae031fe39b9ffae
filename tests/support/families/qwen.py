"""Qwen-VL: patches merged two by two, positions of three axes, turns between control tokens."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from tests.support.families import texts
from tests.support.families.base import WAYS, TinyBase, config_of, decoder, ids_of

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
_QWEN3 = "{% for message in messages %}" + _TURN + "{% endfor %}" + _ASKED
# Qwen3.5 thinks before it answers, unless told not to, and forgets its thoughts of earlier turns.
_QWEN3_5 = (
    "{% set at = namespace(last=0) %}{% for message in messages %}"
    "{% if message.role == 'user' %}{% set at.last = loop.index0 %}{% endif %}{% endfor %}"
    "{% for message in messages %}{% set text %}" + _CONTENT + "{% endset %}"
    "<|im_start|>{{ message.role }}\n{% if message.role == 'assistant' and loop.index0 > at.last %}"
    "<think>\n\n</think>\n\n{% endif %}{{ text | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n"
    "{% if enable_thinking is defined and not enable_thinking %}"
    "{{ '\\n</think>\\n\\n' }}{% endif %}{% endif %}"
)
# A base of Qwen3-VL that always thinks.
THINKING = (
    "{% set at = namespace(last=0) %}{% for message in messages %}"
    "{% if message.role == 'user' %}{% set at.last = loop.index0 %}{% endif %}{% endfor %}"
    "{% for message in messages %}{% set text %}" + _CONTENT + "{% endset %}"
    "<|im_start|>{{ message.role }}\n{% if message.role == 'assistant' and loop.index0 > at.last %}"
    "{{ '<think>\n\n</think>\n\n' + text.lstrip('\n') }}{% else %}{{ text }}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)
_TOOLS = ("<tool_call>", "</tool_call>")
THOUGHTS = (*_TOOLS, "<tool_response>", "</tool_response>", "<think>", "</think>")


def _processor(
    model_type: str, template: str, plain: tuple[str, ...] = (), tokenizer_of: str = "qwen2"
) -> Any:
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
    tokenizer = texts.qwen(tokenizer_of, special=_SPECIAL, plain=plain)
    return without_videos(model_type)(images, tokenizer, chat_template=template)


def _config(model_type: str, tokenizer: Any, *, text: Mapping[str, Any] = {}, **vision: Any) -> Any:
    names = {
        "image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>",
    }  # fmt: skip
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
    settings = {"rope_parameters": rope, "tie_word_embeddings": True, **text}
    return config_of(
        model_type,
        text_config=decoder(tokenizer, **settings),
        vision_config={"depth": 4, "patch_size": 8, "num_heads": 2, **vision},
        tie_word_embeddings=True,
        **{name: tokenizer.convert_tokens_to_ids(token) for name, token in names.items()},
        **ids_of(tokenizer),
    )


_VISION3 = {
    "hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 64,
    "num_position_embeddings": 64,
}  # fmt: skip
_DEEPSTACK = {**_VISION3, "deepstack_visual_indexes": [1, 2]}
# What deepstack adds to the last layer's states no answer would see.
_DEEP = {"num_hidden_layers": 3}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}


def _swapped(tensors: dict[str, Any]) -> dict[str, Any]:
    """Experts as the published checkpoints hold them: (expert, in, out)."""
    return {
        key: tensor.transpose(1, 2).contiguous() if ".experts." in key else tensor
        for key, tensor in tensors.items()
    }


def with_more(tensors: dict[str, Any]) -> dict[str, Any]:
    """Beside the model what predicts a token after the next, which the library does not load."""
    norm = tensors["model.language_model.norm.weight"]
    return {**tensors, "mtp.norm.weight": norm.clone(), "mtp.fc.weight": norm.expand(2, -1).clone()}


HYBRID = {
    "num_hidden_layers": 3, "head_dim": 32, "linear_key_head_dim": 16, "linear_value_head_dim": 16,
    "linear_num_key_heads": 2, "linear_num_value_heads": 4,
    "layer_types": ["linear_attention", "full_attention", "linear_attention"],
    "rope_parameters": {
        "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25,
        "mrope_section": [2, 1, 1], "mrope_interleaved": True,
    },
}  # fmt: skip
_SHARED = {**_EXPERTS, "shared_expert_intermediate_size": 24}
# Counted is one projector behind another; those of deepstack stand side by side.
_SIDE_BY_SIDE = ("lora",)


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
        partial(_processor, "qwen2_5_vl", _QWEN2, _TOOLS),
    ),
    "qwen3_vl": TinyBase(
        partial(_config, "qwen3_vl", text=_DEEP, **_DEEPSTACK),
        partial(_processor, "qwen3_vl", _QWEN3, THOUGHTS),
        uncounted=_SIDE_BY_SIDE,
    ),
    "qwen3_vl_moe": TinyBase(
        partial(_config, "qwen3_vl_moe", text={**_DEEP, **_EXPERTS}, **_DEEPSTACK),
        partial(_processor, "qwen3_vl_moe", _QWEN3, THOUGHTS),
        _swapped,
        uncounted=_SIDE_BY_SIDE,
    ),
    "qwen3_5": TinyBase(
        partial(_config, "qwen3_5", text=HYBRID, **_VISION3),
        partial(_processor, "qwen3_5", _QWEN3_5, THOUGHTS, "qwen3_5"),
        with_more,
        uncounted=WAYS,  # the recurrence of linear attention
    ),
    "qwen3_5_moe": TinyBase(
        partial(_config, "qwen3_5_moe", text={**HYBRID, **_SHARED}, **_VISION3),
        partial(_processor, "qwen3_5_moe", _QWEN3_5, THOUGHTS, "qwen3_5"),
        with_more,
        uncounted=WAYS,
    ),
}  # fmt: skip
