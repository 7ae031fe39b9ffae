"""A run folder ready to be evaluated: a tiny random base, a random adapter, pictures, cases."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from kolm import canonical, digest, roles
from kolm.capture import images
from kolm.run.folder import Places, write_places
from kolm.store.blobs import BlobStore
from tests.support import tiny_vlm
from tests.support.stores import put

ZERO = "sha256:" + "0" * 64
QUESTIONS = ("what shape?", "is it red?", "is there a circle in the picture?", "how many?")
ANSWERS = ("circle", "yes", "no", "3")


def make_lock(**evaluation: Any) -> dict[str, Any]:
    """A lock that fits its schema, for the tiny base."""
    family = roles.family("qwen2_5_vl")
    targets = list(family.lora_leaf_names)
    return {
        "schema": "urn:kolm:lock:v1",
        "name": "test",
        "base": {
            "id": "test/tiny",
            "family": "qwen2_5_vl",
            "revision": None,
            "root": ZERO,
            "tensors": 1,
            "parameters": 1,
            "dtype": "float32",
            "license": "",
            "papers": [],
            "template": tiny_vlm.TEMPLATE,
            "files": [{"name": "config.json", "digest": ZERO}],
        },
        "data": {"snapshot": ZERO, "root": ZERO, "training": ZERO, "cases": ZERO},
        "train": {
            "objective": {"kind": "sft"},
            "method": {
                "kind": "lora",
                "rank": 2,
                "alpha": 4,
                "dropout": "0",
                "rslora": False,
                "dora": False,
                "targets": targets,
                "target_expression": family.target_expression(targets),
            },
            "freeze": {"vision": True, "projector_after_steps": None},
            "projector": "full",
            "learning_rate": "0.001",
            "projector_learning_rate": "0.0005",
            "optimizer": "adamw",
            "schedule": "cosine",
            "warmup_steps": 0,
            "weight_decay": "0",
            "max_grad_norm": "1",
            "steps": 1,
            "batch_size": 1,
            "accumulation": 1,
            "max_seq_length": 128,
            "max_images": 2,
            "shrink_images": False,
            "segments": 1,
            "validation": None,
            "early_stopping": None,
            "continues": None,
            "precision": "float32",
            "attention": "sdpa",
            "quantisation": None,
        },
        "evaluation": {
            "metric": {"kind": "exact"},
            "max_new_tokens": 6,
            "batch_size": 4,
            "floors": {
                "accuracy_lower_bound": "0.8",
                "worst_slice": "0.7",
                "worst_slice_minimum_cases": 30,
                "better_than_base_p": "0.05",
                "above_blind": "0.1",
                "above_majority": "0.1",
                "clustered_lower_bound": None,
                "f1": None,
                "k": "0.85",
            },
            "cost": {"kind": "local"},
            **evaluation,
        },
        "publish": {"text": True, "images": False, "checkpoints": "hashes"},
        "rates": {"source": "spec", "recommended": "0.0002", "reason": "usual"},
        "nonce": "0" * 64,
        "request": None,
        "seeds": {"initialisation": ZERO, "order": ZERO},
        "environment": {
            "class": ZERO,
            "python": "3.11",
            "torch": "2",
            "transformers": "5",
            "peft": "0",
            "tokenizers": "0",
            "safetensors": "0",
            "numpy": "2",
            "pillow": "13",
            "kolm": "0.1.0",
            "device": "cpu",
            "cpu": "a cpu",
            "isa": "",
            "capability": "AVX2",
            "arithmetic": ZERO,
            "threads": 1,
            "profile": "strict",
            "world_size": 1,
        },
    }


def make_captures(blobs: BlobStore, count: int) -> list[dict[str, Any]]:
    """Captures of noise pictures in two sizes; every picture has two questions."""
    captures = []
    for number in range(count):
        width = 32 if number % 4 < 2 else 48
        stream = io.BytesIO()
        tiny_vlm.make_picture(number // 2, width=width).save(stream, "PNG")
        put(blobs, stream.getvalue())
        facts = images.inspect(stream.getvalue())._asdict()
        captures.append(
            {
                "images": [facts],
                "license": "",
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image", "image": 0},
                            {"type": "text", "text": QUESTIONS[number % 4]},
                        ],
                    },
                    {
                        "role": "assistant",
                        "content": [{"type": "text", "text": ANSWERS[number % 4]}],
                    },
                ],
                "source": {"kind": "test", "name": "test"},
                "split": "eval",
                "tags": ["even"] if number % 2 == 0 else [],
            }
        )
    return sorted(captures, key=digest.of_value)


def save_adapter(folder: Path, lock: dict[str, Any], *, seed: int = 5) -> None:
    """Write a random adapter, LoRA on the language role and a whole projector."""
    import peft
    import torch

    family = roles.family("qwen2_5_vl")
    method = lock["train"]["method"]
    wrapped = peft.get_peft_model(
        tiny_vlm.make_model(),
        peft.LoraConfig(
            r=method["rank"],
            lora_alpha=method["alpha"],
            target_modules=method["target_expression"],
            modules_to_save=list(family.projector_modules),
        ),
    )
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    wrapped.save_pretrained(str(folder))


def make_mixed_captures(blobs: BlobStore) -> list[dict[str, Any]]:
    """Captures without a picture, with two, and with an earlier answer in the conversation."""
    one, other = (make_captures(blobs, 4)[index] for index in (0, 2))
    bare = {**one, "images": [], "messages": [_said("user", "say yes"), _said("assistant", "yes")]}
    both = {
        **one,
        "images": [one["images"][0], other["images"][0]],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image", "image": 0},
                    {"type": "text", "text": "and"},
                    {"type": "image", "image": 1},
                    {"type": "text", "text": "are they equal?"},
                ],
            },
            _said("assistant", "no"),
        ],
    }
    turns = {
        **one,
        "messages": [*one["messages"], _said("user", "sure?"), _said("assistant", "no")],
    }
    return sorted([one, other, bare, both, turns], key=digest.of_value)


def _said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def make_run(folder: Path, *, cases: int = 12, mixed: bool = False, **evaluation: Any) -> Path:
    """A run folder with everything that the evaluating child reads."""
    run, store = folder / "run", folder / "captures"
    run.mkdir(parents=True)
    lock = make_lock(**evaluation)
    base = tiny_vlm.save_base(folder / "base")
    blobs = BlobStore(store / "blobs")
    captures = make_mixed_captures(blobs) if mixed else make_captures(blobs, cases)
    save_adapter(run, lock)
    (run / "spec.lock.json").write_bytes(canonical.dumps(lock))
    (run / "evalcases.jsonl").write_bytes(canonical.dump_lines(captures))
    write_places(run, Places(base=base, captures=store))
    return run
