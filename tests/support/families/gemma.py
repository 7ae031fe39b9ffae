"""Gemma: SigLIP's tower, line ends and tags among the added tokens, turns that are trimmed."""

from __future__ import annotations

from typing import Any

from tests.support.families import texts
from tests.support.families.base import TinyBase, config_of, decoder, ids_of

SIGLIP = {
    "model_type": "siglip_vision_model", "hidden_size": 32, "intermediate_size": 64,
    "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 56, "patch_size": 14,
    "vision_use_head": False,
}  # fmt: skip
_NAMED = {
    "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>",
    "image_token": "<image_soft_token>",
}  # fmt: skip
# The text of a system turn stands before the first question, and it alone is not trimmed.
_GEMMA3 = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}"
    "{% set before, turns = messages[0].content[0].text + '\n\n', messages[1:] %}{% else %}"
    "{% set before, turns = '', messages %}{% endif %}{% for message in turns %}"
    "{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\n' }}"
    "{{ before if loop.first }}{% for block in message.content %}{% if block.type == 'image' %}"
    "<start_of_image>{% else %}{{ block.text | trim }}{% endif %}{% endfor %}"
    "{{ '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)


def _gemma3_processor() -> Any:
    from transformers import Gemma3Processor
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

    images = Gemma3ImageProcessorPil(size={"height": 56, "width": 56})
    tokenizer = texts.gemma(
        special=("<start_of_turn>", "<end_of_turn>"), extra_special_tokens=_NAMED
    )
    return Gemma3Processor(images, tokenizer, image_seq_length=4, chat_template=_GEMMA3)


def _gemma3_config(tokenizer: Any) -> Any:
    id_of = tokenizer.convert_tokens_to_ids
    return config_of(
        "gemma3",
        vision_config=SIGLIP,
        text_config=decoder(
            tokenizer, layer_types=["sliding_attention", "full_attention"], sliding_window=24
        ),
        mm_tokens_per_image=4,
        boi_token_index=id_of("<start_of_image>"),
        eoi_token_index=id_of("<end_of_image>"),
        image_token_index=id_of("<image_soft_token>"),
        **{**ids_of(tokenizer), "eos_token_id": [tokenizer.eos_token_id, id_of("<end_of_turn>")]},
    )


BASES = {"gemma3": TinyBase(_gemma3_config, _gemma3_processor, end="<end_of_turn>")}
