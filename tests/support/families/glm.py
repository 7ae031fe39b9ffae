"""GLM-4.1V: patches merged two by two, positions of three axes, turns that begin with a token and
end with nothing."""

from __future__ import annotations

from typing import Any

from tests.support.families import texts
from tests.support.families.base import TinyBase, config_of, decoder, ids_of

_SPECIAL = (
    "<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>",
    "<|assistant|>", "<|observation|>", "<|begin_of_image|>", "<|end_of_image|>",
    "<|begin_of_video|>", "<|end_of_video|>", "<|image|>", "<|video|>",
)  # fmt: skip
_PLAIN = ("<think>", "</think>", "<answer>", "</answer>")
_TEMPLATE = (
    "[gMASK]<sop>{% for message in messages %}{{ '<|' + message.role + '|>\n' }}"
    "{% for block in message.content %}{% if block.type == 'image' %}"
    "<|begin_of_image|><|image|><|end_of_image|>{% else %}{{ block.text }}{% endif %}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)


def _processor() -> Any:
    from transformers.models.glm4v.image_processing_pil_glm4v import Glm4vImageProcessorPil

    from kolm.models.processor import without_videos

    images = Glm4vImageProcessorPil(
        patch_size=8,
        merge_size=2,
        temporal_patch_size=2,
        size={"shortest_edge": 512, "longest_edge": 8192},
    )
    tokenizer = texts.of_bytes(
        texts.GLM, special=_SPECIAL, plain=_PLAIN, eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
    )  # fmt: skip
    return without_videos("glm4v")(images, tokenizer, chat_template=_TEMPLATE)


def _config(tokenizer: Any) -> Any:
    id_of = tokenizer.convert_tokens_to_ids
    rope = {
        "rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2],
        "partial_rotary_factor": 0.5,
    }  # fmt: skip
    ends = [id_of(token) for token in ("<|endoftext|>", "<|user|>", "<|observation|>")]
    return config_of(
        "glm4v",
        text_config=decoder(tokenizer, rope_parameters=rope),
        vision_config={
            "depth": 3, "hidden_size": 32, "num_heads": 2, "patch_size": 8, "image_size": 64,
            "out_hidden_size": 64, "intermediate_size": 48,
        },
        image_token_id=id_of("<|image|>"),
        video_token_id=id_of("<|video|>"),
        image_start_token_id=id_of("<|begin_of_image|>"),
        image_end_token_id=id_of("<|end_of_image|>"),
        video_start_token_id=id_of("<|begin_of_video|>"),
        video_end_token_id=id_of("<|end_of_video|>"),
        **{**ids_of(tokenizer), "eos_token_id": ends},
    )  # fmt: skip


BASES = {"glm4v": TinyBase(_config, _processor, end="<|user|>")}
