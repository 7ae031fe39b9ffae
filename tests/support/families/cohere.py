"""Cohere: answers that end with one token and turns with another; tiles that Aya Vision names one
by one, and Command A Vision ends."""

from __future__ import annotations

from typing import Any

from tests.support.families import texts
from tests.support.families.base import TinyBase, config_of, decoder, ids_of
from tests.support.families.gemma import SIGLIP

_SPECIAL = (
    "<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|SYSTEM_TOKEN|>",
    "<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_OF_IMG|>", "<|END_OF_IMG|>",
    "<|IMG_LINE_BREAK|>", "<|IMG_PATCH|>", "TILE_GLOBAL", "TILE_1", "TILE_2", "TILE_3",
)  # fmt: skip
_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|START_OF_TURN_TOKEN|>"
    "{% if message.role == 'assistant' %}<|CHATBOT_TOKEN|><|START_RESPONSE|>"
    "{% elif message.role == 'system' %}<|SYSTEM_TOKEN|>{% else %}<|USER_TOKEN|>{% endif %}"
    "{% for block in message.content %}{% if block.type == 'image' %}<image>{% else %}"
    "{{ block.text }}{% endif %}{% endfor %}"
    "{% if message.role == 'assistant' %}<|END_RESPONSE|>{% endif %}<|END_OF_TURN_TOKEN|>"
    "{% endfor %}{% if add_generation_prompt %}"
    "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_RESPONSE|>{% endif %}"
)


def _processor() -> Any:
    from transformers import AyaVisionProcessor
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import (
        GotOcr2ImageProcessorPil,
    )

    images = GotOcr2ImageProcessorPil(
        size={"height": 56, "width": 56}, crop_to_patches=True, max_patches=3
    )
    tokenizer = texts.cohere(special=_SPECIAL)
    return AyaVisionProcessor(
        images, tokenizer, patch_size=14, img_size=56, downsample_factor=2, chat_template=_TEMPLATE
    )


_NAMED = {
    "boi_token": "<|START_OF_IMG|>", "eoi_token": "<|END_OF_IMG|>",
    "image_token": "<|IMG_PATCH|>", "img_line_break_token": "<|IMG_LINE_BREAK|>",
}  # fmt: skip


def _command_processor() -> Any:
    """It makes as many tokens of a tile as its ``patch_size`` has pixels."""
    from transformers import Cohere2VisionProcessor

    from kolm.models import pixels

    images = pixels.processor_class("cohere2_vision")(
        size={"height": 16, "width": 16}, patch_size=2, max_patches=3
    )
    tokenizer = texts.cohere(special=_SPECIAL[:10], extra_special_tokens=_NAMED)
    return Cohere2VisionProcessor(
        images, tokenizer, chat_template=_TEMPLATE.replace("<image>", _NAMED["image_token"])
    )


def _text_config(tokenizer: Any) -> dict[str, Any]:
    layers = ["sliding_attention", "full_attention"]
    return {
        "model_type": "cohere2",
        **decoder(tokenizer, layer_types=layers, sliding_window=24),
    }


def _config(tokenizer: Any) -> Any:
    return config_of(
        "aya_vision",
        vision_config=SIGLIP,
        text_config=_text_config(tokenizer),
        image_token_index=tokenizer.convert_tokens_to_ids("<|IMG_PATCH|>"),
        **ids_of(tokenizer),
    )


def _command_config(tokenizer: Any) -> Any:
    return config_of(
        "cohere2_vision",
        vision_config={**SIGLIP, "image_size": 16, "patch_size": 4},
        text_config=_text_config(tokenizer),
        image_token_id=tokenizer.image_token_id,
        alignment_intermediate_size=64,
        **ids_of(tokenizer),
    )


# The library's default for the tower cannot be built: 1152 is no multiple of 14 heads.
_TOWER = {"model_type": "siglip_vision_model", "hidden_size": 1152, "num_attention_heads": 16}
_END = "<|END_RESPONSE|><|END_OF_TURN_TOKEN|>"
# Counted is one layer behind another. Their blocks' attention and feed-forward layer stand side by
# side: of two blocks the gradient that is counted too much is more than a little.
_UNCOUNTED = ("frozen",)
BASES = {
    "aya_vision": TinyBase(
        _config,
        _processor,
        end=_END,
        uncounted=_UNCOUNTED,
        published={"vision_config": _TOWER},
    ),
    "cohere2_vision": TinyBase(
        _command_config,
        _command_processor,
        sizes=((16, 16), (32, 16), (16, 48)),
        end=_END,
        uncounted=_UNCOUNTED,
        sized=False,
    ),
}
