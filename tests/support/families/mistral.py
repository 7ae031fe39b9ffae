"""Mistral 3: Pixtral's tower, a token after each row of an image, a system turn with the date."""

from __future__ import annotations

from typing import Any

from tests.support.families import texts
from tests.support.families.base import TinyBase, config_of, decoder, ids_of

_SPECIAL = (
    "<unk>", "<s>", "</s>", "<pad>",
    "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "[IMG_BREAK]", "[IMG_END]", "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
)  # fmt: skip
_TEMPLATE = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}"
    "{% set said, turns = messages[0].content[0].text, messages[1:] %}{% else %}"
    "{% set said, turns = 'You help. Today is ' + strftime_now(\"%Y-%m-%d\") + '.', messages %}"
    "{% endif %}[SYSTEM_PROMPT]{{ said }}[/SYSTEM_PROMPT]"
    "{% for message in turns %}{% if message.role == 'user' %}[INST]"
    "{% for block in message.content %}{% if block.type == 'image' %}[IMG]{% else %}"
    "{{ block.text }}{% endif %}{% endfor %}[/INST]"
    "{% else %}{{ message.content[0].text + eos_token }}{% endif %}{% endfor %}"
)


def _processor() -> Any:
    from transformers.models.pixtral.image_processing_pil_pixtral import PixtralImageProcessorPil

    from kolm.models.processor import without_videos

    images = PixtralImageProcessorPil(
        patch_size={"height": 8, "width": 8}, size={"longest_edge": 256}
    )
    tokenizer = texts.of_bytes(
        texts.TEKKEN, special=_SPECIAL, begins=True, bos_token="<s>", eos_token="</s>",
        unk_token="<unk>", pad_token="<pad>",
    )  # fmt: skip
    return without_videos("mistral3")(
        images, tokenizer, patch_size=8, spatial_merge_size=2, chat_template=_TEMPLATE
    )


def _config(tokenizer: Any) -> Any:
    return config_of(
        "mistral3",
        vision_config={
            "model_type": "pixtral", "hidden_size": 32, "intermediate_size": 64,
            "num_hidden_layers": 3, "num_attention_heads": 4, "head_dim": 8, "image_size": 256,
            "patch_size": 8,
        },
        text_config={"model_type": "mistral", **decoder(tokenizer)},
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        spatial_merge_size=2,
        **ids_of(tokenizer),
    )  # fmt: skip


BASES = {"mistral3": TinyBase(_config, _processor)}
