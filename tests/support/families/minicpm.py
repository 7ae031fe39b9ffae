"""MiniCPM-V: slices of a picture in one row of patches, merged inside the tower and behind it, and
a language model of Qwen3.5."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.support.families import texts
from tests.support.families.base import TOWER, WAYS, TinyBase, config_of, decoder, ids_of
from tests.support.families.qwen import HYBRID, THOUGHTS, with_more

_NAMED = {
    "image_token": "<|image_pad|>", "video_token": "<|video_pad|>",
    "image_start_token": "<image>", "image_end_token": "</image>",
    "slice_start_token": "<slice>", "slice_end_token": "</slice>",
    "image_id_start_token": "<image_id>", "image_id_end_token": "</image_id>",
}  # fmt: skip
# It closes a thought before the last answer alone, and trims what each message holds.
_TEMPLATE = (
    "{% set at = namespace(last=0) %}{% for message in messages %}"
    "{% if message.role == 'user' %}{% set at.last = loop.index0 %}{% endif %}{% endfor %}"
    "{% for message in messages %}{% set text %}{% for block in message.content %}"
    "{% if block.type == 'image' %}<|image_pad|>{% else %}{{ block.text }}{% endif %}"
    "{% if not loop.last %}{{ '\\n' }}{% endif %}{% endfor %}{% endset %}"
    "<|im_start|>{{ message.role }}\n{% if message.role == 'assistant' and loop.index0 > at.last %}"
    "<think>\n\n</think>\n\n{% endif %}{{ text | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n"
    "{% if not enable_thinking %}{{ '\\n</think>\\n\\n' }}{% endif %}{% endif %}"
)


def _processor(model_type: str) -> Any:
    from transformers.models.minicpmv4_6.image_processing_pil_minicpmv4_6 import (
        MiniCPMV4_6ImageProcessorPil,
    )

    from kolm.models.processor import without_videos

    images = MiniCPMV4_6ImageProcessorPil(patch_size=4, scale_resolution=32, max_slice_nums=4)
    tokenizer = texts.qwen(
        "qwen3_5", special=_NAMED.values(), plain=THOUGHTS, extra_special_tokens=_NAMED
    )
    made = without_videos(model_type)
    return made(image_processor=images, tokenizer=tokenizer, chat_template=_TEMPLATE)


def _config(model_type: str, tokenizer: Any, **settings: Any) -> Any:
    return config_of(
        model_type,
        vision_config={
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3,
            "num_attention_heads": 4, "image_size": 32, "patch_size": 4,
        },
        text_config={
            "model_type": "qwen3_5_text",
            **decoder(tokenizer, **HYBRID, tie_word_embeddings=True),
        },
        insert_layer_id=1,
        tie_word_embeddings=True,
        image_token_id=tokenizer.image_token_id,
        video_token_id=tokenizer.video_token_id,
        **ids_of(tokenizer),
        **settings,
    )  # fmt: skip


def _config_4_7(tokenizer: Any) -> Any:
    marks = {"image_start": "<image>", "image_end": "</image>", "slice_start": "<slice>"}
    marks |= {"slice_end": "</slice>", "newline": tokenizer.tokenize("\n")[0]}
    ids = {f"{n}_id": tokenizer.convert_tokens_to_ids(token) for n, token in marks.items()}
    return _config("minicpmv4_7", tokenizer, **ids)


_UNCOUNTED = (*WAYS, TOWER)  # the recurrence of linear attention, and what is merged inside
BASES = {
    "minicpmv4_6": TinyBase(
        partial(_config, "minicpmv4_6"),
        partial(_processor, "minicpmv4_6"),
        with_more,
        uncounted=_UNCOUNTED,
    ),
    "minicpmv4_7": TinyBase(
        _config_4_7,
        partial(_processor, "minicpmv4_7"),
        with_more,
        sized=False,
        uncounted=_UNCOUNTED,
    ),
}
