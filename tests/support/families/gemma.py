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


# A system turn of its own, all texts trimmed, white space around an image.
_GEMMA4 = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|turn>' + ('model' if message.role == 'assistant' else message.role) + '\n' }}"
    "{% for block in message.content %}{% if block.type == 'image' %}{{ '\n\n<|image|>\n\n' }}"
    "{% else %}{{ block.text | trim }}{% endif %}{% endfor %}{{ '<turn|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|turn>model\n' }}{% endif %}"
)
_NAMED4 = {
    "boi_token": "<|image>", "eoi_token": "<image|>", "image_token": "<|image|>",
    "boa_token": "<|audio>", "eoa_token": "<audio|>", "audio_token": "<|audio|>",
}  # fmt: skip


def _gemma4_processor() -> Any:
    from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil

    from kolm.models.processor import without_videos

    special = ("<|turn>", "<turn|>", "<|think|>", "<|channel>", "<channel|>")
    return without_videos("gemma4")(
        feature_extractor=None,
        image_processor=Gemma4ImageProcessorPil(patch_size=4, max_soft_tokens=70),
        tokenizer=texts.gemma(special=special, extra_special_tokens=_NAMED4),
        video_processor=None,
        image_seq_length=70,
        chat_template=_GEMMA4,
    )


def _gemma4_config(tokenizer: Any) -> Any:
    id_of = tokenizer.convert_tokens_to_ids
    return config_of(
        "gemma4",
        text_config=decoder(
            tokenizer, num_hidden_layers=4, num_kv_shared_layers=2, sliding_window=24,
            layer_types=["sliding_attention", "full_attention"] * 2, global_head_dim=32,
            hidden_size_per_layer_input=8, vocab_size_per_layer_input=len(tokenizer),
            final_logit_softcapping=30.0, use_bidirectional_attention="vision",
        ),
        vision_config={
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3,
            "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16, "patch_size": 4,
            "position_embedding_size": 256, "use_clipped_linears": True,
        },
        audio_config={
            "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
            "subsampling_conv_channels": [8, 8], "output_proj_dims": 32,
        },
        boi_token_id=id_of("<|image>"),
        eoi_token_id=id_of("<image|>"),
        image_token_id=id_of("<|image|>"),
        video_token_id=id_of("<|video|>"),
        boa_token_id=id_of("<|audio>"),
        eoa_token_index=id_of("<audio|>"),
        audio_token_id=id_of("<|audio|>"),
        **{**ids_of(tokenizer), "eos_token_id": [tokenizer.eos_token_id, id_of("<turn|>")]},
    )  # fmt: skip


def _paligemma_processor() -> Any:
    from transformers import PaliGemmaProcessor
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    images = SiglipImageProcessorPil(size={"height": 56, "width": 56}, image_seq_length=16)
    return PaliGemmaProcessor(images, texts.gemma(special=["<image>"]))


def _paligemma_config(tokenizer: Any) -> Any:
    return config_of(
        "paligemma",
        vision_config=SIGLIP,
        text_config={"model_type": "gemma", **decoder(tokenizer)},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        projection_dim=64,
        hidden_size=64,
        **ids_of(tokenizer),
    )


def _paligemma_whole(
    processor: Any, conversations: list[Any], template: str, padding: dict[str, Any]
) -> Any:
    """A prompt and its suffix as the library's processor takes them; what that cannot take, without
    a picture or with several turns, as one text."""
    texts_of = [
        ["".join(f" {b['text']}" for b in turn["content"] if b["type"] == "text")[1:] for turn in c]
        for c in conversations
    ]
    images = [[b["image"] for t in c for b in t["content"] if "image" in b] for c in conversations]
    if all(images) and all(len(texts) == 2 for texts in texts_of):
        asked = ["<image>" * len(i) + t[0] for i, t in zip(images, texts_of, strict=True)]
        suffix = [texts[1] for texts in texts_of]
        return processor(images, asked, suffix=suffix, return_tensors="pt", **padding)
    rendered = processor.apply_chat_template(conversations, chat_template=template)
    expanded = [text.replace("<image>", "<image>" * 16) for text in rendered]
    return processor.tokenizer(expanded, add_special_tokens=False, return_tensors="pt", **padding)


BASES = {
    "paligemma": TinyBase(_paligemma_config, _paligemma_processor, whole=_paligemma_whole),
    "gemma3": TinyBase(
        _gemma3_config,
        _gemma3_processor,
        end="<end_of_turn>",
        uncounted=("lora",),  # no layer of its projector is linear
    ),
    "gemma4": TinyBase(
        _gemma4_config,
        _gemma4_processor,
        end="<turn|>",
        published={"vision_config": {}, "audio_config": {}},
    ),
}
