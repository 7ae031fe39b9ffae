"""A base model of a few thousand made-up weights in the shape of Qwen2.5-VL, without torch.

`TOY` lists its modules as transformers names them; `write_base` writes it as a checkpoint folder.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kolm import canonical, digest
from kolm.bundle import tensor_writer, tensors
from kolm.roles import FAMILIES

WIDTH, VISION_WIDTH, INNER, VOCABULARY, BLOCKS = 8, 8, 16, 24, 2
FAMILY = FAMILIES["qwen2_5_vl"]
TEMPLATE = "{{ messages }}"  # of the chat
Tensor = tuple[str, tuple[int, ...], bytes]


@dataclass(frozen=True)
class ToyModule:
    """One module: its class, its parameters' and buffers' shapes."""

    name: str
    kind: str
    parameters: dict[str, tuple[int, ...]]
    buffers: dict[str, tuple[int, ...]]


def floats(label: str, shape: tuple[int, ...], scale: float = 0.1) -> Tensor:
    """A float32 tensor that follows from its label."""
    count = 1
    for size in shape:
        count *= size
    stream = digest.Stream(digest.of_bytes(label.encode()))
    values = [(stream.uint32() / 2**32 - 0.5) * scale for _ in range(count)]
    return "F32", shape, struct.pack(f"<{count}f", *values)


def zeros(shape: tuple[int, ...]) -> Tensor:
    """A float32 tensor of zeros."""
    count = 1
    for size in shape:
        count *= size
    return "F32", shape, bytes(4 * count)


def digest_of(tensor: Tensor) -> str:
    """The tensor digest."""
    dtype, shape, raw = tensor
    return tensors.tensor_digest(dtype, shape, raw)


def _linear(name: str, out: int, into: int, bias: bool = True) -> ToyModule:
    parameters: dict[str, tuple[int, ...]] = {"weight": (out, into)}
    if bias:
        parameters["bias"] = (out,)
    return ToyModule(name, "Linear", parameters, {})


def _norm(name: str, width: int) -> ToyModule:
    return ToyModule(name, "Qwen2RMSNorm", {"weight": (width,)}, {})


def _modules() -> list[ToyModule]:
    found = [
        ToyModule(
            "model.visual.patch_embed.proj", "Conv3d", {"weight": (VISION_WIDTH, 3, 2, 2, 2)}, {}
        ),
        ToyModule("model.visual.rotary_pos_emb", "VisionRotary", {}, {"inv_freq": (2,)}),
    ]
    for number in range(BLOCKS):
        block = f"model.visual.blocks.{number}"
        found += [_norm(f"{block}.norm1", VISION_WIDTH), _norm(f"{block}.norm2", VISION_WIDTH)]
        found += [
            _linear(f"{block}.attn.qkv", 3 * VISION_WIDTH, VISION_WIDTH),
            _linear(f"{block}.attn.proj", VISION_WIDTH, VISION_WIDTH),
            _linear(f"{block}.mlp.gate_proj", INNER, VISION_WIDTH),
            _linear(f"{block}.mlp.up_proj", INNER, VISION_WIDTH),
            _linear(f"{block}.mlp.down_proj", VISION_WIDTH, INNER),
        ]
    found += [
        _norm("model.visual.merger.ln_q", VISION_WIDTH),
        _linear("model.visual.merger.mlp.0", INNER, VISION_WIDTH),
        _linear("model.visual.merger.mlp.2", WIDTH, INNER),
    ]
    language = "model.language_model"
    found.append(
        ToyModule(f"{language}.embed_tokens", "Embedding", {"weight": (VOCABULARY, WIDTH)}, {})
    )
    for number in range(BLOCKS):
        block = f"{language}.layers.{number}"
        found += [_norm(f"{block}.input_layernorm", WIDTH)]
        found += [_norm(f"{block}.post_attention_layernorm", WIDTH)]
        found += [_linear(f"{block}.self_attn.{p}_proj", WIDTH, WIDTH) for p in ("q", "k", "v")]
        found += [
            _linear(f"{block}.self_attn.o_proj", WIDTH, WIDTH, bias=False),
            _linear(f"{block}.mlp.gate_proj", INNER, WIDTH, bias=False),
            _linear(f"{block}.mlp.up_proj", INNER, WIDTH, bias=False),
            _linear(f"{block}.mlp.down_proj", WIDTH, INNER, bias=False),
        ]
    found += [
        _norm(f"{language}.norm", WIDTH),
        ToyModule(f"{language}.rotary_emb", "TextRotary", {}, {"inv_freq": (2,)}),
        ToyModule("lm_head", "Linear", {"weight": (VOCABULARY, WIDTH)}, {}),
    ]
    return sorted(found, key=lambda module: module.name)


TOY = _modules()


def parameter(module: str, name: str, shape: tuple[int, ...]) -> Tensor:
    """The base's value of a parameter; the head is tied to the embeddings."""
    full = f"{module}.{name}"
    return floats("base " + FAMILY.aliases.get(full, full), shape)


def checkpoint(modules: Sequence[ToyModule] = TOY) -> dict[str, Tensor]:
    """The tensors of a base of these modules under their checkpoint keys."""
    found = {}
    for module in modules:
        for name, shape in module.parameters.items():
            full = f"{module.name}.{name}"
            if full not in FAMILY.aliases:
                found[FAMILY.checkpoint_keys(full)[0]] = parameter(module.name, name, shape)
    return found


def write_base(folder: Path, modules: Sequence[ToyModule] = TOY) -> Path:
    """Write the base as a checkpoint folder in two shards with an index."""
    folder.mkdir(parents=True, exist_ok=True)
    stored = checkpoint(modules)
    names = sorted(stored)
    shards = {
        "model-00001-of-00002.safetensors": names[: len(names) // 2],
        "model-00002-of-00002.safetensors": names[len(names) // 2 :],
    }
    weight_map = {}
    for file, keys in shards.items():
        (folder / file).write_bytes(tensor_writer.encode({key: stored[key] for key in keys}))
        weight_map |= dict.fromkeys(keys, file)
    documents: dict[str, Any] = {
        "model.safetensors.index.json": {"metadata": {}, "weight_map": weight_map},
        "config.json": {"model_type": "qwen2_5_vl", "tie_word_embeddings": True},
        "generation_config.json": {"max_new_tokens": 16},
        "tokenizer.json": {"model": "toy"},
        "tokenizer_config.json": {"chat": "toy"},
        "preprocessor_config.json": {"size": 28},
    }
    for file, value in documents.items():
        (folder / file).write_bytes(canonical.dumps(value))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder
