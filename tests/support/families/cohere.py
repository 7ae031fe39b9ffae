"""Aya Vision: tiles that are named one by one, answers that end with one token and turns with
another."""

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


def _config(tokenizer: Any) -> Any:
    layers = ["sliding_attention", "full_attention"]
    return config_of(
        "aya_vision",
        vision_config=SIGLIP,
        text_config={
            "model_type": "cohere2",
            **decoder(tokenizer, layer_types=layers, sliding_window=24),
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<|IMG_PATCH|>"),
        **ids_of(tokenizer),
    )


# The library's default for the tower cannot be built: 1152 is no multiple of 14 heads.
_TOWER = {"model_type": "siglip_vision_model", "hidden_size": 1152, "num_attention_heads": 16}
BASES = {
    "aya_vision": TinyBase(
        _config,
        _processor,
        end="<|END_RESPONSE|><|END_OF_TURN_TOKEN|>",
        # Counted is one layer behind another. Its blocks' attention and feed-forward layer stand
        # side by side: of two blocks the gradient that is counted too much is more than a little.
        uncounted=("frozen",),
        published={"vision_config": _TOWER},
    )
}
