"""The embedded base: its shape, and the files of a folder that transformers loads.

Qwen2.5-VL (arXiv:2502.13923) with a tower of four blocks that all attend over the whole image,
and a language model of five: 3.3 million parameters. Patches of 8 pixels, four of which become
one token, so a 64 by 64 picture costs 16 tokens.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kolm import paths
from kolm.models import nano
from tools.pretrain import tokenizer as words

NAME = "kolm/nano-1"
WEIGHTS = Path(nano.__file__).parent / "weights"
PATCH_PIXELS = 8
MERGE = 2
TOKEN_PIXELS = PATCH_PIXELS * MERGE
SMALLEST_SIDE, LARGEST_SIDE = 32, 224
IMAGE_MEAN, IMAGE_STD = 0.8, 0.27  # of the drawn scenes, whose backgrounds are mostly light

_VISION = {
    "depth": 4,
    "hidden_size": 128,
    "intermediate_size": 320,
    "num_heads": 4,
    "patch_size": PATCH_PIXELS,
    "spatial_merge_size": MERGE,
    "temporal_patch_size": 2,
    "out_hidden_size": 192,
    "fullatt_block_indexes": [0, 1, 2, 3],
    "window_size": 64,
    "in_channels": 3,
}
_LANGUAGE = {
    "hidden_size": 192,
    "intermediate_size": 512,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
    "use_sliding_window": False,
    "rope_parameters": {
        "rope_type": "default",
        "mrope_section": [8, 8, 8],
        # The sections give columns the lowest frequencies; with the usual 10,000 two columns
        # of a small picture would be 0.002 radians apart.
        "rope_theta": 16.0,
    },
}


def configuration(tokenizer: Any) -> Any:
    """The `Qwen2_5_VLConfig` for a trained `tokenizers.Tokenizer`."""
    from transformers import Qwen2_5_VLConfig

    end, pad = tokenizer.token_to_id(words.END), tokenizer.token_to_id(words.PAD)
    ends = {"bos_token_id": None, "eos_token_id": end, "pad_token_id": pad}
    vocabulary = -(-tokenizer.get_vocab_size() // 32) * 32  # whole cache lines
    return Qwen2_5_VLConfig(
        text_config={**_LANGUAGE, "vocab_size": vocabulary, **ends},
        vision_config=dict(_VISION),
        image_token_id=tokenizer.token_to_id(words.IMAGE),
        video_token_id=tokenizer.token_to_id(words.VIDEO),
        vision_start_token_id=tokenizer.token_to_id(words.VISION_START),
        vision_end_token_id=tokenizer.token_to_id(words.VISION_END),
        tie_word_embeddings=True,
        **ends,
    )


def new_model(tokenizer: Any) -> Any:
    """An untrained model in float32; the caller has seeded torch."""
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    config = configuration(tokenizer)
    config._attn_implementation = "sdpa"
    model = Qwen2_5_VLForConditionalGeneration._from_config(config, dtype=torch.float32)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2 and "embed_tokens" not in name:
            torch.nn.init.normal_(parameter, std=min(0.06, parameter.shape[1] ** -0.5))
        elif parameter.dim() >= 2:
            torch.nn.init.normal_(parameter, std=0.02 if "embed_tokens" in name else 0.03)
    with torch.no_grad():
        # Image features begin at the size of the text's embeddings; thirty times larger, they
        # drown their own gradient and the tower collapses.
        model.model.visual.merger.mlp[2].weight.mul_(0.05)
    return model


def write_folder(folder: Path, model: Any, tokenizer: Any) -> None:
    """Write what `from_pretrained` needs: weights in half precision, config, tokenizer, processor.

    The files are the same bytes for the same weights: JSON is sorted, and the safetensors header
    is canonical.
    """
    import torch
    from safetensors.torch import save

    from kolm.bundle.tensor_writer import canonicalise

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: tensor.detach().to("cpu", torch.float16).contiguous()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"  # tied to the embeddings
    }
    paths.atomic_write(folder / "model.safetensors", canonicalise(save(tensors, {"format": "pt"})))
    paths.atomic_write(folder / "tokenizer.json", tokenizer.to_str(pretty=False).encode())
    paths.atomic_write(folder / "chat_template.jinja", words.CHAT_TEMPLATE.encode())
    config = model.config.to_diff_dict()
    config["architectures"] = ["Qwen2_5_VLForConditionalGeneration"]
    config["dtype"] = "float16"
    _write(folder / "config.json", config)
    _write(folder / "generation_config.json", _generation(model.config))
    _write(folder / "tokenizer_config.json", _tokenizer_config())
    _write(folder / "preprocessor_config.json", _image_config())


def _write(path: Path, value: dict[str, Any]) -> None:
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    paths.atomic_write(path, (text + "\n").encode())


def _generation(config: Any) -> dict[str, Any]:
    return {
        "do_sample": False,
        "eos_token_id": config.text_config.eos_token_id,
        "pad_token_id": config.text_config.pad_token_id,
    }


def _tokenizer_config() -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "eos_token": words.END,
        "pad_token": words.PAD,
        "model_max_length": _LANGUAGE["max_position_embeddings"],
        "image_token": words.IMAGE,
        "video_token": words.VIDEO,
    }


def _image_config() -> dict[str, Any]:
    return {
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2_5_VLProcessor",
        "patch_size": PATCH_PIXELS,
        "merge_size": MERGE,
        "temporal_patch_size": 2,
        "image_mean": [IMAGE_MEAN] * 3,
        "image_std": [IMAGE_STD] * 3,
        "size": {
            "shortest_edge": SMALLEST_SIDE * SMALLEST_SIDE,
            "longest_edge": LARGEST_SIDE * LARGEST_SIDE,
        },
    }
