"""LLaVA: CLIP or SigLIP before a decoder of the Llama kind."""

from __future__ import annotations

from typing import Any

from tests.support.families import texts
from tests.support.families.base import TinyBase, config_of, decoder, ids_of

# As the Vicuna bases of LLaVA-1.5 come: no token ends an answer, and the prompt for an answer ends
# before the space that stands there in a finished turn.
VICUNA = (
    "{% for message in messages %}{% if message.role != 'system' %}{{ message.role.upper() }}: "
    "{% endif %}{% for block in message.content if block.type == 'image' %}<image>\n{% endfor %}"
    "{% for block in message.content if block.type == 'text' %}"
    "{% if message.role == 'assistant' %}{% generation %}{{ block.text + ' ' }}{% endgeneration %}"
    "{% else %}{{ block.text + ' ' }}{% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
CLIP = {
    "model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 64,
    "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 56, "patch_size": 14,
    "projection_dim": 32,
}  # fmt: skip


def _llava_processor() -> Any:
    from transformers import LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    images = CLIPImageProcessorPil(
        size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}
    )
    return LlavaProcessor(
        images,
        texts.llama(special=["<image>"]),
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=VICUNA,
    )


def _llava_config(tokenizer: Any) -> Any:
    return config_of(
        "llava",
        vision_config=CLIP,
        text_config={"model_type": "llama", **decoder(tokenizer)},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        **ids_of(tokenizer),
    )


# As LLaVA-NeXT on Mistral comes: what ends an answer is no control token.
MISTRAL = (
    "{% for message in messages %}{% if message.role == 'system' %}"
    "{{ '<<SYS>>\n' + message.content[0].text + '\n<</SYS>>\n\n' }}"
    "{% elif message.role == 'user' %}{{ '[INST] ' }}"
    "{% for block in message.content if block.type == 'image' %}{{ '<image>\n' }}{% endfor %}"
    "{% for block in message.content if block.type == 'text' %}{{ block.text }}{% endfor %}"
    "{{ ' [/INST]' }}{% else %}{{ ' ' + message.content[0].text + '<\\\\s> ' }}{% endif %}"
    "{% endfor %}"
)
_TILES = [[56, 112], [112, 56], [112, 112], [168, 56], [56, 168]]


def _next_processor() -> Any:
    from transformers import LlavaNextProcessor
    from transformers.models.llava_next.image_processing_pil_llava_next import (
        LlavaNextImageProcessorPil,
    )

    images = LlavaNextImageProcessorPil(
        size={"shortest_edge": 56},
        crop_size={"height": 56, "width": 56},
        image_grid_pinpoints=_TILES,
    )
    return LlavaNextProcessor(
        images,
        texts.llama(special=["<image>"]),
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=MISTRAL,
    )


def _next_config(tokenizer: Any) -> Any:
    return config_of(
        "llava_next",
        vision_config=CLIP,
        text_config={"model_type": "mistral", "sliding_window": None, **decoder(tokenizer)},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=_TILES,
        **ids_of(tokenizer),
    )


# LLaVA-OneVision writes a space before an answer's line that its prompt for one does not have.
ONEVISION = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + ' ' }}"
    "{% for block in message.content if block.type == 'image' %}{{ '<image>' }}{% endfor %}"
    "{% for block in message.content if block.type == 'text' %}{% if message.role == 'assistant' %}"
    "{% generation %}{{ '\n' + block.text }}{% endgeneration %}{% else %}{{ '\n' + block.text }}"
    "{% endif %}{% endfor %}{{ '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def _onevision_processor() -> Any:
    from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
        LlavaOnevisionImageProcessorPil,
    )

    from kolm.models.processor import without_videos

    images = LlavaOnevisionImageProcessorPil(
        size={"height": 56, "width": 56}, image_grid_pinpoints=_TILES
    )
    return without_videos("llava_onevision")(
        images,
        texts.qwen(special=("<image>", "<video>")),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=ONEVISION,
    )


def _onevision_config(tokenizer: Any) -> Any:
    siglip = {**CLIP, "model_type": "siglip_vision_model", "vision_use_head": False}
    siglip.pop("projection_dim")
    return config_of(
        "llava_onevision",
        vision_config=siglip,
        text_config={"model_type": "qwen2", **decoder(tokenizer)},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=_TILES,
        **ids_of(tokenizer),
    )


BASES = {
    "llava": TinyBase(_llava_config, _llava_processor),
    "llava_next": TinyBase(_next_config, _next_processor),
    "llava_onevision": TinyBase(_onevision_config, _onevision_processor),
}
