"""InternVL: tiles, pixel shuffle, and a decoder and tokenizer of Qwen's."""

from __future__ import annotations

from typing import Any

from tests.support.families import texts
from tests.support.families.base import TinyBase, config_of, decoder, ids_of

_NAMED = {
    "start_image_token": "<img>", "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>", "video_token": "<video>",
}  # fmt: skip
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% for block in message.content %}{% if block.type == 'image' %}{{ '<IMG_CONTEXT>\n' }}"
    "{% else %}{{ block.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def _processor() -> Any:
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import (
        GotOcr2ImageProcessorPil,
    )

    from kolm.models.processor import without_videos

    images = GotOcr2ImageProcessorPil(
        size={"height": 28, "width": 28}, crop_to_patches=True, max_patches=3
    )
    special = ("<quad>", "</quad>", "<ref>", "</ref>", "<box>", "</box>")
    tokenizer = texts.qwen(special=special, extra_special_tokens=_NAMED)
    return without_videos("internvl")(
        images, tokenizer, image_seq_length=4, chat_template=_TEMPLATE
    )


def _config(tokenizer: Any) -> Any:
    return config_of(
        "internvl",
        vision_config={
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3,
            "num_attention_heads": 4, "image_size": [28, 28], "patch_size": [7, 7],
        },
        text_config={"model_type": "qwen2", **decoder(tokenizer)},
        image_seq_length=4,
        image_token_id=tokenizer.context_image_token_id,
        **ids_of(tokenizer),
    )  # fmt: skip


BASES = {"internvl": TinyBase(_config, _processor)}
