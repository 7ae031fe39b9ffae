"""LFM2-VL: a language model of short convolutions and attention, tiles of patches that are cut
already and filled up to one length."""

from __future__ import annotations

from typing import Any

from tests.support.families import texts
from tests.support.families.base import TinyBase, config_of, decoder, ids_of

_NAMED = {
    "image_token": "<image>", "image_start_token": "<|image_start|>",
    "image_end_token": "<|image_end|>", "image_thumbnail": "<|img_thumbnail|>",
}  # fmt: skip
_SPECIAL = ("<|pad|>", "<|startoftext|>", "<|im_start|>", "<|im_end|>")
_TILES = tuple(f"<|img_row_{row}_col_{column}|>" for row in (1, 2, 3) for column in (1, 2, 3))
_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' }}"
    "{% for block in message.content %}{% if block.type == 'image' %}<image>{% else %}"
    "{{ block.text }}{% endif %}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def _processor() -> Any:
    from transformers import Lfm2VlProcessor

    from kolm.models import pixels

    images = pixels.processor_class("lfm2_vl")(
        encoder_patch_size=4,
        tile_size=16,
        max_tiles=3,
        min_image_tokens=2,
        max_pixels_tolerance=0.1,  # cut from 1638 pixels on
    )
    tokenizer = texts.of_bytes(
        texts.GLM,
        special=(*_SPECIAL, *_NAMED.values(), *_TILES),
        plain=("python",),
        begins=True,
        bos_token="<|startoftext|>",
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        extra_special_tokens=_NAMED,
    )
    return Lfm2VlProcessor(images, tokenizer, chat_template=_TEMPLATE)


def _config(tokenizer: Any) -> Any:
    return config_of(
        "lfm2_vl",
        vision_config={
            "model_type": "siglip2_vision_model", "hidden_size": 32, "intermediate_size": 64,
            "num_hidden_layers": 3, "num_attention_heads": 4, "patch_size": 4, "num_patches": 16,
            "vision_use_head": False,
        },
        text_config={
            "model_type": "lfm2", **decoder(tokenizer, num_hidden_layers=3),
            "layer_types": ["conv", "full_attention", "conv"], "block_multiple_of": 32,
        },
        image_token_id=tokenizer.image_token_id,
        projector_hidden_size=48,
        **ids_of(tokenizer),
    )  # fmt: skip


# The library's default has attention in every layer.
_LAYERS = {"model_type": "lfm2", "full_attn_idxs": [2, 5, 8, 10, 12, 14], "num_hidden_layers": 16}
BASES = {"lfm2_vl": TinyBase(_config, _processor, published={"text_config": _LAYERS})}
