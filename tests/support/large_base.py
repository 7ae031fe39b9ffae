"""A base of Qwen2.5-VL-3B's real shape on disk: bfloat16, in shards, with random weights.

Sizes are those of the published config (Qwen/Qwen2.5-VL-3B-Instruct, config.json), keys those of
the published checkpoint. The tokenizer has one token a byte; the image processor cuts patches of
14 pixels. `python -m tests.support.large_base FOLDER [LAYERS]` writes one and prints what measuring
it takes on one core, on all of them, and from what is remembered.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support import tiny_vlm

LAYERS = 36
SHARD_BYTES = 4_000_000_000  # the published one is cut into files of about this size
_NOISE_ELEMENTS = 1 << 24  # drawn once; tensors are windows of it, each from a place of its own


def config(layers: int = LAYERS) -> Any:
    """The configuration, of all layers or of the first ones."""
    from transformers import Qwen2_5_VLConfig

    return Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": layers,
            "num_attention_heads": 16, "num_key_value_heads": 2, "vocab_size": 151936,
            "max_position_embeddings": 128000, "rms_norm_eps": 1e-6, "bos_token_id": None,
            "eos_token_id": tiny_vlm.END, "pad_token_id": tiny_vlm.PAD,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 1000000.0, "mrope_section": [16, 24, 24],
            },
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16,
            "patch_size": 14, "window_size": 112, "out_hidden_size": 2048,
            "fullatt_block_indexes": [7, 15, 23, 31], "spatial_merge_size": 2,
            "tokens_per_second": 2,
        },
        image_token_id=tiny_vlm.IMAGE,
        video_token_id=tiny_vlm.VIDEO,
        vision_start_token_id=tiny_vlm.V_START,
        vision_end_token_id=tiny_vlm.V_END,
        bos_token_id=None,
        eos_token_id=tiny_vlm.END,
        pad_token_id=tiny_vlm.PAD,
        tie_word_embeddings=True,
        dtype="bfloat16",
    )  # fmt: skip


def write(folder: Path, *, layers: int = LAYERS, shard_bytes: int = SHARD_BYTES) -> int:
    """Write the base; gives the bytes of its tensors."""
    import torch
    from transformers import GenerationConfig, Qwen2_5_VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    folder.mkdir(parents=True, exist_ok=True)
    stated = config(layers)
    with torch.device("meta"):
        model = Qwen2_5_VLForConditionalGeneration(stated)
    stated.architectures = [type(model).__name__]
    stated.save_pretrained(folder)
    GenerationConfig(eos_token_id=tiny_vlm.END).save_pretrained(folder)
    tiny_vlm.make_tokenizer().save_pretrained(folder)
    Qwen2VLImageProcessorPil(
        patch_size=14, size={"shortest_edge": 3136, "longest_edge": 12544}
    ).save_pretrained(folder)
    shapes = {_published(name): list(tensor.shape) for name, tensor in model.named_parameters()}
    shapes.pop("lm_head.weight", None)
    shards = list(_cut(shapes, shard_bytes))
    places: dict[str, str] = {}
    noise = torch.randn(_NOISE_ELEMENTS, generator=torch.Generator().manual_seed(0)) * 0.02
    pools = [(noise + mean).bfloat16().view(torch.uint8).numpy().data for mean in (0, 1)]
    for number, names in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        _write_shard(folder / file, {name: shapes[name] for name in names}, pools)
        places |= dict.fromkeys(names, file)
    total = sum(map(_size, shapes.values()))
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    return total


def _published(name: str) -> str:
    for inside, stored in (("model.visual.", "visual."), ("model.language_model.", "model.")):
        name = stored + name.removeprefix(inside) if name.startswith(inside) else name
    return name


def _size(shape: list[int]) -> int:
    count = 2  # bytes of an element
    for side in shape:
        count *= side
    return count


def _cut(shapes: dict[str, list[int]], shard_bytes: int) -> Iterator[list[str]]:
    names: list[str] = []
    size = 0
    for name, shape in shapes.items():
        if names and size + _size(shape) > shard_bytes:
            yield names
            names, size = [], 0
        names.append(name)
        size += _size(shape)
    yield names


def _write_shard(path: Path, shapes: dict[str, list[int]], pools: list[memoryview]) -> None:
    """A safetensors file, written piece by piece: it may be larger than memory.

    Args:
        path: of the file.
        shapes: of its tensors.
        pools: numbers around 0 for matrices and biases, and around 1 for norms.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    position = 0
    for name, shape in shapes.items():
        end = position + _size(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [position, end]}
        position = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for number, (name, shape) in enumerate(shapes.items()):
            pool = pools["norm" in name]
            start, left = number * 7919 * 2 % len(pool), _size(shape)
            while left:
                written = stream.write(pool[start : start + left])
                start, left = 0, left - written


def _measure(folder: Path, layers: int) -> None:
    import os
    import time

    from kolm.actions.measuring import RememberedDigests
    from kolm.bundle.base_root import base_root

    began = time.perf_counter()
    size = write(folder, layers=layers)
    print(f"{size / 1e9:.2f} GB written in {time.perf_counter() - began:.1f} s")
    cores = os.sched_getaffinity(0)
    memory = RememberedDigests(folder / "digests", now_ns=time.time_ns() + 2**60, believe=True)
    for what, chosen, known in (
        ("1 core", {min(cores)}, None),
        (f"{len(cores)} cores", cores, None),
        ("and remembered", cores, memory),
        ("from what is remembered", cores, memory),
    ):
        os.sched_setaffinity(0, chosen)
        began = time.perf_counter()
        root = base_root(folder, known).root
        seconds = time.perf_counter() - began
        print(f"{what}: {seconds:.2f} s, {size / seconds / 1e6:.0f} MB/s, {root}")


if __name__ == "__main__":
    _measure(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else LAYERS)
