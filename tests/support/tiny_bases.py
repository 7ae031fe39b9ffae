"""A whole tiny base of each family: random weights, a tokenizer with the family's pre-tokenizer and
control tokens, the family's own processor, and the chat template that its bases are published with.

No line here names a published base; what a template writes is what theirs writes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from tests.support import tiny_vlm

_WORDS = (
    "what is the colour of this picture and how many circles are there in it? a red square, two "
    "green triangles. the answer is yes, no, seven, left, right. USER: ASSISTANT: a chat between a "
    "curious human and an assistant. What Which How The It"
)
# As the Vicuna bases of LLaVA-1.5 come: no token ends an answer, and the prompt for an answer ends
# before the space that stands there in a finished turn.
VICUNA = (
    "{% for message in messages %}{% if message.role != 'system' %}{{ message.role.upper() }}: "
    "{% endif %}{% for block in message.content if block.type == 'image' %}<image>\n{% endfor %}"
    "{% for block in message.content if block.type == 'text' %}"
    "{% if message.role == 'assistant' %}{% generation %}{{ block.text + ' ' }}{% endgeneration %}"
    "{% else %}{{ block.text + ' ' }}{% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


class TinyBase(NamedTuple):
    """A base of one family.

    Attributes:
        model: makes the configuration of its model, for a vocabulary of so many tokens.
        processor: makes its processor.
    """

    config: Callable[[], Any]
    processor: Callable[[], Any]


def _llama_tokenizer() -> Any:
    """Metaspace before the first text alone, byte fallback, `<s>` before every text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import LlamaTokenizer

    core = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    trainer = trainers.BpeTrainer(
        vocab_size=480,
        special_tokens=["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))],
        initial_alphabet=[chr(code) for code in range(33, 127)],
        show_progress=False,
    )
    core.train_from_iterator([_WORDS, _WORDS.title()], trainer)
    from json import loads

    learned = loads(core.to_str())["model"]
    vocab, merges = learned["vocab"], [tuple(pair) for pair in learned["merges"]]
    vocab["▁▁"] = len(vocab)  # the real one merges runs of spaces, and nothing else across words
    tokenizer = LlamaTokenizer(
        vocab=vocab, merges=[("▁", "▁"), *merges], legacy=False, add_bos_token=True
    )
    tokenizer.add_special_tokens({"pad_token": "<pad>", "additional_special_tokens": ["<image>"]})
    return tokenizer


def _llava_processor() -> Any:
    from transformers import LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    images = CLIPImageProcessorPil(
        size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}
    )
    return LlavaProcessor(
        images,
        _llama_tokenizer(),
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=VICUNA,
    )


def _llava_config() -> Any:
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig

    tokenizer = processor("llava").tokenizer
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos")}
    return LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
            image_size=56, patch_size=14, projection_dim=32,
        ),
        text_config=LlamaConfig(
            hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id,
            max_position_embeddings=512, **ids,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        **ids,
    )  # fmt: skip


def _qwen_processor(model_type: str) -> Any:
    from kolm.models.processor import without_videos

    kind = without_videos(model_type)
    tokenizer = tiny_vlm.make_tokenizer(tiny_vlm.PLAIN)
    return kind(tiny_vlm.make_image_processor(), tokenizer, chat_template=tiny_vlm.PLAIN)


def _qwen2_vl_config() -> Any:
    from transformers import Qwen2VLConfig

    stated = tiny_vlm.make_config().to_dict()
    stated["vision_config"] = {
        "depth": 3, "embed_dim": 32, "hidden_size": 48, "num_heads": 2, "mlp_ratio": 2,
        "patch_size": 8, "spatial_merge_size": 2,
    }  # fmt: skip
    for settings in (stated, stated["text_config"]):
        settings.pop("model_type")
    return Qwen2VLConfig(**stated)


BASES = {
    "llava": TinyBase(_llava_config, _llava_processor),
    "qwen2_vl": TinyBase(_qwen2_vl_config, lambda: _qwen_processor("qwen2_vl")),
    "qwen2_5_vl": TinyBase(tiny_vlm.make_config, lambda: _qwen_processor("qwen2_5_vl")),
}


@lru_cache
def processor(model_type: str) -> Any:
    """The processor of a tiny base; not to be changed."""
    return BASES[model_type].processor()


def pictures(model_type: str) -> Any:
    """The same on pictures."""
    from kolm import roles
    from kolm.models.pictures import PictureProcessor

    own = processor(model_type)
    number = own.tokenizer.convert_tokens_to_ids(own.image_token)
    return PictureProcessor(own, roles.family(model_type), number)


def make_model(model_type: str, seed: int = 0) -> Any:
    """The model of a tiny base, frozen and in evaluation mode."""
    import torch
    from transformers import AutoModelForImageTextToText

    torch.manual_seed(seed)
    config = BASES[model_type].config()
    model = AutoModelForImageTextToText.from_config(config, attn_implementation="sdpa")
    with torch.no_grad():  # the library starts biases and norms at constants, which hides mistakes
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return model.eval().requires_grad_(False)


def save(model_type: str, folder: Path, *, seed: int = 0) -> Path:
    """Write a tiny base as a folder that kolm resolves like any other."""
    folder.mkdir(parents=True, exist_ok=True)
    make_model(model_type, seed).save_pretrained(folder)
    processor(model_type).save_pretrained(folder)
    return folder
