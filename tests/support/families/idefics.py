"""Idefics2, whose projector reads a grid of patches; Idefics3 and SmolVLM: tiles, whose tokens
stand in the prompt in several runs."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

from tests.support.families import texts
from tests.support.families.base import WAYS, TinyBase, config_of, decoder, ids_of

_TURNS = (
    "{% for message in messages %}{{ message.role | capitalize }}"
    "{% if message.content[0].type == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for block in message.content %}{% if block.type == 'text' %}{{ block.text }}"
    "{% else %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
_SPECIAL = ("<fake_token_around_image>", "<image>", "<end_of_utterance>")
# In SmolVLM the names of tiles are control tokens; in Idefics3 they are text.
_TILES = ("<global-img>", *(f"<row_{row}_col_{column}>" for row in (1, 2) for column in (1, 2)))


def _idefics2_processor() -> Any:
    from transformers import Idefics2Processor
    from transformers.models.idefics2.image_processing_pil_idefics2 import (
        Idefics2ImageProcessorPil,
    )

    images = Idefics2ImageProcessorPil(
        size={"shortest_edge": 14, "longest_edge": 56}, do_image_splitting=True
    )
    tokenizer = texts.llama(special=_SPECIAL)
    return Idefics2Processor(images, tokenizer, image_seq_len=4, chat_template=_TURNS)


def _idefics3_processor() -> Any:
    from transformers import Idefics3Processor
    from transformers.models.idefics3.image_processing_pil_idefics3 import (
        Idefics3ImageProcessorPil,
    )

    images = Idefics3ImageProcessorPil(
        size={"longest_edge": 56}, max_image_size={"longest_edge": 28}
    )
    template = "<|begin_of_text|>" + _TURNS
    return Idefics3Processor(
        images, texts.llama3(special=_SPECIAL), image_seq_len=4, chat_template=template
    )


def _smolvlm_processor() -> Any:
    from transformers.models.smolvlm.image_processing_pil_smolvlm import (
        SmolVLMImageProcessorPil,
    )

    from kolm.models.processor import without_videos

    images = SmolVLMImageProcessorPil(
        size={"longest_edge": 56}, max_image_size={"longest_edge": 28}
    )
    template = "<|im_start|>" + _TURNS
    tokenizer = texts.smollm(special=(*_SPECIAL, *_TILES))
    kind = without_videos("smolvlm")
    # The library's own way to render a conversation asks it of videos in any case.
    kind.video_processor = SimpleNamespace(num_frames=1, fps=1)
    return kind(images, tokenizer, None, image_seq_len=4, chat_template=template)


def _config(model_type: str, tokenizer: Any) -> Any:
    return config_of(
        model_type,
        vision_config={
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3,
            "num_attention_heads": 4, "image_size": 28, "patch_size": 7,
        },
        text_config={"model_type": "llama", **decoder(tokenizer)},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        **ids_of(tokenizer),
    )  # fmt: skip


def _idefics2_config(tokenizer: Any) -> Any:
    id_of = tokenizer.convert_tokens_to_ids
    return config_of(
        "idefics2",
        vision_config={
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3,
            "num_attention_heads": 4, "image_size": 56, "patch_size": 7,
        },
        perceiver_config={
            "hidden_size": 64, "resampler_n_latents": 4, "resampler_depth": 2,
            "resampler_n_heads": 4, "resampler_head_dim": 8, "num_key_value_heads": 2,
        },
        text_config={"model_type": "mistral", **decoder(tokenizer), "sliding_window": None},
        image_token_id=id_of("<image>"),
        **{
            **ids_of(tokenizer),
            "eos_token_id": [tokenizer.eos_token_id, id_of("<end_of_utterance>")],
        },
    )  # fmt: skip


BASES = {
    "idefics2": TinyBase(
        _idefics2_config,
        _idefics2_processor,
        sizes=((28, 28), (56, 28), (28, 42)),  # of whole patches, also when they are cut in four
        end="<end_of_utterance>",
        uncounted=WAYS,  # what a resampler reads beyond the features that it gives
    ),
    "idefics3": TinyBase(partial(_config, "idefics3"), _idefics3_processor),
    "smolvlm": TinyBase(partial(_config, "smolvlm"), _smolvlm_processor),
}
