"""A Qwen2.5-VL of about 60,000 random parameters with a byte tokenizer, for tests that need a
whole model and no knowledge."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from kolm import digest

START, END, PAD, IMAGE, VIDEO, V_START, V_END, TOOL = range(256, 264)
SPECIALS = (
    "<|im_start|>", "<|im_end|>", "<|pad|>", "<|image_pad|>", "<|video_pad|>",
    "<|vision_start|>", "<|vision_end|>",
)  # fmt: skip
_CONTENT = (
    "{% for block in message.content %}{% if block.type == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ block.text }}{% endif %}{% endfor %}"
)
MARKED = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.role == 'assistant' %}{% generation %}" + _CONTENT + "<|im_end|>"
    "{% endgeneration %}{% else %}" + _CONTENT + "<|im_end|>{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PLAIN = (
    "{% for message in messages %}{% if loop.first and message.role != 'system' %}"
    "<|im_start|>system\nYou help.<|im_end|>\n{% endif %}<|im_start|>{{ message.role }}\n"
    + _CONTENT
    + "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# What a lock says of a base with that template.
TEMPLATE = {"digest": digest.of_bytes(MARKED.encode()), "source": "base"}
# A template that hides earlier reasoning: one turn's rendering is no prefix of the next one's.
FORGETFUL = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.role == 'assistant' and loop.last %}<think></think>{% endif %}"
    + _CONTENT
    + "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_tokenizer(template: str = MARKED) -> Any:
    """One token a byte, the control tokens of Qwen, and one added token that is not special."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(name, special=True) for name in SPECIALS])
    core.add_tokens([AddedToken("<tool>", special=False)])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<|pad|>",
        eos_token="<|im_end|>",
        chat_template=template,
        clean_up_tokenization_spaces=False,
    )


def make_image_processor(max_pixels: int = 4096) -> Any:
    """Patches of 8 pixels, merged 2 by 2: a 32 by 32 image is 4 tokens."""
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
        Qwen2VLImageProcessorPil,
    )

    return Qwen2VLImageProcessorPil(
        patch_size=8,
        merge_size=2,
        temporal_patch_size=2,
        size={"shortest_edge": 256, "longest_edge": max_pixels},
    )


def make_processor(template: str = MARKED, max_pixels: int = 4096) -> Any:
    """The library's processor, without its half for videos."""
    from kolm.models.processor import without_videos

    kind = without_videos("qwen2_5_vl")
    images = make_image_processor(max_pixels)
    return kind(images, make_tokenizer(template), chat_template=template)


def make_pictures(template: str = MARKED, max_pixels: int = 4096) -> Any:
    """The processor on pictures."""
    from kolm import roles
    from kolm.models.pictures import PictureProcessor

    return PictureProcessor(make_processor(template, max_pixels), roles.family("qwen2_5_vl"), IMAGE)


def make_config(*, window_size: int = 64, full_blocks: tuple[int, ...] = (0, 1)) -> Any:
    """The configuration of the tiny model."""
    from transformers import Qwen2_5_VLConfig

    return Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 48,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": 264,
            "max_position_embeddings": 512,
            "bos_token_id": None,
            "eos_token_id": END,
            "pad_token_id": PAD,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [2, 2, 2],
            },
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "patch_size": 8,
            "window_size": window_size,
            "out_hidden_size": 48,
            "fullatt_block_indexes": list(full_blocks),
            "spatial_merge_size": 2,
        },
        image_token_id=IMAGE,
        video_token_id=VIDEO,
        vision_start_token_id=V_START,
        vision_end_token_id=V_END,
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=PAD,
        tie_word_embeddings=True,
    )


def make_model(seed: int = 0, **options: Any) -> Any:
    """The tiny model, frozen and in evaluation mode."""
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(make_config(**options))
    model.set_attn_implementation("sdpa")
    with torch.no_grad():  # the library starts biases and norms at constants, which hides mistakes
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    model.eval()
    model.requires_grad_(False)
    return model


def loaded(model: Any) -> Any:
    """The model as training and evaluation hold it, without a processor."""
    from kolm import roles
    from kolm.models.base import LoadedBase, make_forward

    table = roles.family(model.config.model_type)
    return LoadedBase(
        folder=Path(),
        model=model,
        pictures=SimpleNamespace(table=table, image_token_id=IMAGE),
        forward=make_forward(model, table),
        end_ids=frozenset({3}),
        pad_token_id=PAD,
    )


def save_base(folder: Path, *, seed: int = 0, template: str = MARKED) -> Path:
    """Write a tiny base as a folder that kolm resolves like any other."""
    folder.mkdir(parents=True, exist_ok=True)
    make_model(seed).save_pretrained(folder)
    make_tokenizer(template).save_pretrained(folder)
    make_image_processor().save_pretrained(folder)
    return folder


def make_picture(seed: int, width: int = 32, height: int = 32) -> Any:
    """A picture of noise."""
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise, "RGB")


def recorder(base: Any) -> Any:
    """Recordings of pictures of noise, each made once: what a trainer asks for."""
    from kolm.models.taps import join

    recorded: dict[str, Any] = {}

    def pictures(uses: Any) -> Any:
        for use in uses:
            if use.pixels not in recorded:
                picture = make_picture(int(use.pixels[-3:], 16))
                inputs, _ = make_pictures().inputs(picture)
                recorded[use.pixels] = base.forward.tower.record(inputs, 1)
        return join([recorded[use.pixels] for use in uses])

    return pictures


def image_facts(number: int, width: int = 32, height: int = 32) -> dict[str, Any]:
    """The image record of a capture, with made-up digests."""
    return {
        "bytes": 100,
        "file": f"sha256:{number:064x}",
        "pixels": f"sha256:{number + 1000:064x}",
        "width": width,
        "height": height,
        "media_type": "image/png",
        "orientation": 1,
    }


def make_capture(*turns: tuple[str, Any], images: int = 1, **size: int) -> dict[str, Any]:
    """A capture from (role, content) turns; a content is a text or a list of texts and numbers."""
    messages = []
    for role, content in turns:
        blocks = content if isinstance(content, list) else [content]
        messages.append(
            {
                "role": role,
                "content": [
                    {"type": "image", "image": block}
                    if isinstance(block, int)
                    else {"type": "text", "text": block}
                    for block in blocks
                ],
            }
        )
    return {
        "images": [image_facts(i, **size) for i in range(images)],
        "license": "",
        "messages": messages,
        "source": {"kind": "test", "name": "test"},
        "split": None,
        "tags": [],
    }
