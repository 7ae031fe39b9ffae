"""Mllama: pictures beside the text, of up to two tiles, which blocks of their own attend to."""

from __future__ import annotations

from typing import Any

from tests.support.families import texts
from tests.support.families.base import TinyBase, config_of, decoder, ids_of

_PATCH, _SIDE, _TILES = 4, 88, 2  # the tower fills 485 places of a tile up to 488
# A system turn stands before every conversation without pictures, with a date, and none before
# others. The text of one is a string to it, so that none that is a list of blocks has a place.
_TURNS = (
    "{{ bos_token }}{% if strftime_now is defined %}{% set day = strftime_now('%d %b %Y') %}"
    "{% else %}{% set day = '26 Jul 2024' %}{% endif %}"
    "{% if messages[0].role == 'system' %}"
    "{% set said, turns = messages[0].content | trim, messages[1:] %}{% else %}"
    "{% set said, turns = '', messages %}{% endif %}{% set seen = namespace(any=false) %}"
    "{% for message in turns %}{% for block in message.content %}{% if block.type == 'image' %}"
    "{% set seen.any = true %}{% endif %}{% endfor %}{% endfor %}{% if seen.any and said != '' %}"
    "{{ raise_exception('Prompting with images is incompatible with system messages.') }}"
    "{% endif %}{% if not seen.any %}"
    "{{ '<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n' }}"
    "{{ 'Today Date: ' + day + '\n\n' + said + '<|eot_id|>' }}{% endif %}"
    "{% for message in turns %}"
    "{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' }}"
    "{% for block in message.content %}{% if block.type == 'image' %}{{ '<|image|>' }}"
    "{% else %}{{ block.text }}{% endif %}{% endfor %}{{ '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
_HEADERS = ("<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|python_tag|>")


def _processor() -> Any:
    from transformers import MllamaProcessor
    from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil

    images = MllamaImageProcessorPil(size={"height": _SIDE, "width": _SIDE}, max_image_tiles=_TILES)
    tokenizer = texts.llama3(special=(*_HEADERS, "<|image|>"))
    return MllamaProcessor(images, tokenizer, chat_template=_TURNS)


def _config(tokenizer: Any) -> Any:
    image = tokenizer.convert_tokens_to_ids("<|image|>")
    assert image == len(tokenizer) - 1  # it has a row of the embeddings and none of the head
    text = decoder(tokenizer, num_hidden_layers=3, cross_attention_layers=[1], vocab_size=image)
    del text["head_dim"]
    return config_of(
        "mllama",
        vision_config={
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_global_layers": 1, "attention_heads": 4, "image_size": _SIDE,
            "patch_size": _PATCH, "max_num_tiles": _TILES, "vision_output_dim": 64,
            "intermediate_layers_indices": [0],
            "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]],
        },
        text_config=text,
        image_token_index=image,
        **ids_of(tokenizer),
    )  # fmt: skip


BASES = {
    "mllama": TinyBase(
        _config, _processor, sizes=((72, 72), (144, 72), (50, 100)), end="<|eot_id|>", system=False
    )
}
