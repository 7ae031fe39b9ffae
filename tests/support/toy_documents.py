"""The documents of a toy compile, made by hand: what `bundles.py` puts together and forges."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kolm import canonical, digest, methods
from kolm.bundle.base_root import base_root
from kolm.format.norms import stated_norm
from kolm.format.order import reading_of
from kolm.format.schedule import Happening, read_schedule
from kolm.format.seeds import derive_seeds
from kolm.methods.method import Method
from kolm.methods.projector import is_linear
from kolm.objectives import objective_of
from kolm.records.sides import LEARNED
from kolm.run.example_rows import kept_row
from kolm.spec.options import resolve_method, resolve_objective
from tests.support import toy_base
from tests.support.preferences import stated
from tests.support.toy_base import FAMILY, TOY, Tensor, digest_of, floats

RANK, STEPS, SEGMENTS = 2, 4, 2
TARGETS = ("q_proj", "v_proj")
COLOURS = ("red", "blue", "green")
Row = dict[str, Any]


def make_captures(cases: int, train: int, *, pairs: bool = False) -> list[tuple[Row, str]]:
    """Captures of all sides; with `pairs` they have a rejected answer, but half of the eval's."""
    sides = ["eval"] * cases + ["train"] * train + ["validation"]
    made = [(make_capture(number, side), side) for number, side in enumerate(sides)]
    for number, (capture, side) in enumerate(made):
        if pairs and (side != "eval" or number % 2):
            capture["rejected"] = "something else"
    return made


def picture_of(image: Row) -> bytes:
    """The bytes of a toy picture, found by its digest."""
    pictures = (f"picture {number}".encode() for number in range(1000))
    return next(p for p in pictures if digest.of_bytes(p) == image["file"])


def make_checkpoint(step: int, tensors: str, counts: dict[str, int] | None = None) -> Row:
    """The document of a checkpoint without early stopping."""
    stated = {"some.weight": step} if counts is None else counts
    return {
        "gradient_steps": stated,
        "patience": None,
        "schema": "urn:kolm:checkpoint:v1",
        "step": step,
        "tensors": tensors,
        "updates": stated,
    }


def make_state(
    step: int, weights: dict[str, Tensor], block: Row, *, last: bool
) -> dict[str, Tensor]:
    """The tensors of a checkpoint: the known weights at both ends, invented ones between."""
    made: dict[str, Tensor] = {"random": ("U8", (1,), bytes([step]))}
    initial: dict[str, Tensor] = {}
    for module in TOY:
        initial |= initial_weights(module, weights, block)
    for name, (_, shape, _) in weights.items():
        between = weights[name] if last else floats(f"{step} {name}", shape)
        made[f"weights.{name}"] = between if step else initial[name]
        for kind in ("exp_avg", "exp_avg_sq") if step else ():
            made[f"{kind}.{name}"] = floats(f"{kind} {step} {name}", shape)
    return made


def make_capture(number: int, side: str) -> Row:
    picture = f"picture {number}".encode()
    question = "which colour?" if number % 3 else "is it red?"
    answer = COLOURS[number % 3] if number % 3 else "yes"
    return {
        "images": [
            {
                "bytes": len(picture),
                "file": digest.of_bytes(picture),
                "height": 28,
                "media_type": "image/png",
                "orientation": 1,
                "pixels": digest.of_bytes(b"pixels " + picture),
                "width": 28,
            }
        ],
        "license": "MIT",
        "messages": [
            {
                "content": [{"image": 0, "type": "image"}, {"text": question, "type": "text"}],
                "role": "user",
            },
            {"content": [{"text": answer, "type": "text"}], "role": "assistant"},
        ],
        "source": {"kind": "jsonl", "name": "toy"},
        "split": side,
        "tags": ["boolean" if answer == "yes" else "colour"],
    }


def make_snapshot_row(capture: Row, side: str) -> Row:
    images = [{"file": i["file"], "pixels": i["pixels"]} for i in capture["images"]]
    return {"capture": digest.of_value(capture), "images": images, "split": side}


def make_snapshot(rows: list[Row]) -> Row:
    sides = {
        side: [row for row in rows if row["split"] == side]
        for side in ("eval", "none", "train", "validation")
    }
    return {
        "captures": len(rows),
        "images": _images(rows),
        "near_duplicates": {
            "across_splits": 0,
            "dropped": 0,
            "method": "dhash-8x8-color-v1",
            "policy": "report",
        },
        "root": digest.merkle_root(canonical.dumps(row) for row in rows),
        "rule": {"kind": "official", "validation": "0"},
        "schema": "urn:kolm:snapshot:v1",
        "splits": {
            side: {"captures": len(mine), "images": _images(mine)} for side, mine in sides.items()
        },
    }


def _images(rows: list[Row]) -> int:
    return len({image["file"] for row in rows for image in row["images"]})


def make_method(**options: Any) -> Row:
    """A lock's block: LoRA of rank 2 on two kinds of layers, unless said otherwise."""
    chosen = options or {"kind": "lora", "rank": RANK, "alpha": 4, "targets": list(TARGETS)}
    return resolve_method(chosen, FAMILY, vision=False)


def name_of(module: str, part: str, method: Method | type[Method]) -> str:
    """The name under which a tensor of a delta is saved."""
    return part if method.BARE_IN else f"{methods.PREFIX}{module}.{part}"


def make_weights(
    block: Row, projector: str, modules: Sequence[toy_base.ToyModule] = TOY
) -> dict[str, Tensor]:
    made: dict[str, Tensor] = {}
    method = methods.method_of(block)
    for module in modules:
        prefix = f"base_model.model.{module.name}"
        inside = FAMILY.role_of(module.name) == "projector"
        layer = inside and projector == "lora" and is_linear(module.parameters)
        if layer or re.fullmatch(method.target_expression, module.name):
            for part, shape in method.shapes(module.name, module.parameters["weight"]).items():
                name = name_of(module.name, part, method)
                made[name] = floats(f"{part} {module.name}", shape)
        elif inside and projector == "full":
            for name, shape in module.parameters.items():
                made[f"{prefix}.{name}"] = floats(f"trained {module.name}.{name}", shape)
    return made


def initial_weights(
    module: toy_base.ToyModule, weights: dict[str, Tensor], block: Row
) -> dict[str, Tensor]:
    """What a module's tensors of the adapter were before training."""
    made, method = {}, methods.method_of(block)
    listed = {own.name: frozenset(own.parameters) for own in TOY}
    for name in sorted(weights):
        meant, shape = methods.read_name(name, method, listed), weights[name][1]
        if isinstance(meant, methods.UnknownTensor) or meant.module != module.name:
            continue
        if isinstance(meant, methods.WholeTensor):
            made[name] = toy_base.parameter(module.name, meant.parameter, shape)
        elif meant.part in method.STARTS:
            start = struct.pack("<f", method.STARTS[meant.part])
            made[name] = ("F32", shape, start * math.prod(shape))
        else:
            made[name] = floats(f"initial {name}", shape)
    return made


def make_module_row(module: toy_base.ToyModule, weights: dict[str, Tensor], block: Row) -> Row:
    initial = initial_weights(module, weights, block)
    parts = methods.method_of(block).PARTS
    delta = any(f".{name}".endswith(f".{part}") for name in initial for part in parts)
    state = "adapted" if delta else "trained" if initial else "frozen"
    adapter = [
        {
            "after": digest_of(weights[name]),
            "before": digest_of(before),
            "dtype": weights[name][0],
            "elements": len(weights[name][2]) // 4,
            "gradient_steps": STEPS,
            "shape": list(weights[name][1]),
            "tensor": name,
        }
        for name, before in initial.items()
    ]
    return {
        "adapter": adapter,
        "buffers": [_buffer(module.name, n, s) for n, s in sorted(module.buffers.items())],
        "class": module.kind,
        "module": module.name,
        "parameters": [_parameter(module.name, n, s) for n, s in sorted(module.parameters.items())],
        "role": str(FAMILY.role_of(module.name)),
        "state": state,
        "weight_norm": _weight_norm(module) if delta else None,
    }


def _weight_norm(module: toy_base.ToyModule) -> str:
    raw = toy_base.parameter(module.name, "weight", module.parameters["weight"])[2]
    return stated_norm(number**2 for (number,) in struct.iter_unpack("<f", raw))


def _buffer(module: str, name: str, shape: tuple[int, ...]) -> Row:
    value = digest_of(floats(f"buffer {module}.{name}", shape))
    return {"after": value, "before": value, "dtype": "F32", "name": name, "shape": list(shape)}


def _parameter(module: str, name: str, shape: tuple[int, ...]) -> Row:
    full = f"{module}.{name}"
    tensor = toy_base.parameter(module, name, shape)
    row: Row = {
        "after": digest_of(tensor),
        "before": digest_of(tensor),
        "checkpoint": [FAMILY.checkpoint_keys(full)[0]],
        "dtype": "F32",
        "elements": len(tensor[2]) // 4,
        "gradient_steps": 0,
        "name": name,
        "requires_grad": False,
        "shape": list(shape),
    }
    if full in FAMILY.aliases:
        row["alias_of"] = FAMILY.aliases[full]
        row["checkpoint"] = []
    return row


def make_examples(rows: list[Row], lock: Row) -> list[Row]:
    """The rows of examples.jsonl: every capture can be used, and lengths differ."""
    objective = objective_of(lock["train"]["objective"])
    marks = {} if objective.match_tokens is None else {"corrected": 1}

    def other(position: int) -> Row:
        labels = 2 + position % 2
        return {"labels": labels, "tokens": 18 + position % 5 - position % 3 + labels, **marks}

    return [
        kept_row(
            side,
            tokens=20 + position % 5,
            labels=2 + position % 3,
            cut=0,
            image_tokens=4 * len(row["images"]),
            rejected=other(position) if objective.PAIRED else None,
            **marks,
        )
        for side in LEARNED
        for position, row in enumerate(row for row in rows if row["split"] == side)
    ]


def make_trace(lock: Row, rows: list[Row]) -> list[Row]:
    """The trace that a compile with this lock and these rows of examples.jsonl would write."""
    schedule, train, held, order = reading_of(read_schedule(lock), rows)
    patience, link = schedule.new_patience(), schedule.earlier_chain
    objective = objective_of(lock["train"]["objective"])
    made: list[Row] = []
    for happening, step in schedule.happenings(patience):
        row: Row = {"kind": happening.value, "step": step}
        if happening is Happening.STEP:
            window = list(order.window(step, schedule.accumulation))
            row |= {
                "grad_norm": "1.25",
                "label_tokens": train.learned(window),
                "learning_rate": schedule.rate(step),
                "loss": canonical.decimal(2 / step),
                "positions": [train.positions[index] for index in window],
                "projector_learning_rate": schedule.projector_rate(step),
            }
            row |= stated(objective, step, len(window)) if objective.FACTS else {}
        elif happening is Happening.VALIDATION:
            loss = canonical.decimal(3 / step)
            row |= {"label_tokens": held.learned(range(len(held.labels))), "loss": loss}
            row |= stated(objective, step, len(held.labels)) if objective.FACTS else {}
            if schedule.answered:
                score = canonical.decimal(step / (step + 1), 6)
                row["answers"] = {"cases": min(schedule.answered, len(held.tokens)), "score": score}
            if patience:
                patience.tell(schedule.decisive(row))
        else:
            state = digest.of_bytes(f"state {step}".encode())
            link = state if link is None else digest.chain(link, state)
            row |= {"chain": link, "state": state}
        made.append(row)
    return made


def make_prediction(case: Row, number: int) -> Row:
    reference = case["messages"][-1]["content"][0]["text"]

    def outcome(text: str) -> Row:
        return {"covered": True, "finish": "stop", "output": text, "score": "0", "tokens": 2}

    def likelihoods(apart: float) -> Row:
        low = 2 + number % 3 / 4
        return {"chosen": canonical.decimal(apart - low), "rejected": canonical.decimal(-low)}

    both = {"adapter": likelihoods(0.5), "base": likelihoods(-0.25 if number % 3 else 0.25)}
    return {
        **({"preference": both} if "rejected" in case else {}),
        "adapter": outcome(reference),
        "base": outcome(reference if number % 2 else "a circle"),
        "batch": number // 2,
        "cut": 0,
        "blind": outcome("no"),
        "case": digest.of_value(case),
    }


def make_lock(base: Path, block: Row, projector: str, objective: Row) -> Row:
    facts = base_root(base)
    environment = {
        "cpu": "toy",
        "device": "cpu",
        "isa": "AVX2",
        "capability": "AVX2",
        "arithmetic": "sha256:" + "0" * 64,
        "kolm": "0.1.0",
        "numpy": "2.0.0",
        "peft": "0.21.2",
        "pillow": "11.0.0",
        "profile": "strict",
        "world_size": 1,
        "python": "3.11",
        "safetensors": "0.8.0",
        "threads": 2,
        "tokenizers": "0.22.0",
        "torch": "2.13.0+cpu",
        "transformers": "5.23.0",
    }
    lock: Row = {
        "base": {
            "dtype": facts.dtype,
            "family": facts.model_type,
            "files": [{"digest": file.digest, "name": file.name} for file in facts.files],
            "id": "kolm/toy",
            "license": "Apache-2.0",
            "papers": list(FAMILY.papers),
            "parameters": facts.parameters,
            "revision": None,
            "root": facts.root,
            "template": {
                "digest": digest.of_bytes(toy_base.TEMPLATE.encode()),
                "source": "base",
            },
            "tensors": len(facts.tensors),
        },
        "data": {
            "cases": digest.EMPTY,
            "root": digest.EMPTY,
            "snapshot": digest.EMPTY,
            "training": digest.EMPTY,
        },
        "environment": {**environment, "class": digest.of_value(environment)},
        "evaluation": {
            "batch_size": 2,
            "cost": {"kind": "local"},
            "floors": {
                "above_blind": "0.1",
                "above_majority": "0.1",
                "accuracy_lower_bound": "0.5",
                "clustered_lower_bound": None,
                "f1": None,
                "better_than_base_p": "0.5",
                "k": "0.5",
                "worst_slice": "0.5",
                "worst_slice_minimum_cases": 2,
            },
            "max_new_tokens": 16,
            "metric": {"kind": "exact"},
        },
        "name": "toy",
        "rates": {"source": "spec", "recommended": "0.0002", "reason": "usual"},
        "nonce": "0" * 64,
        "request": None,
        "publish": {"checkpoints": "hashes", "images": False, "text": True},
        "schema": "urn:kolm:lock:v1",
        "train": {
            "accumulation": 1,
            "batch_size": 2,
            "continues": None,
            "validation": None,
            "early_stopping": None,
            "freeze": {"projector_after_steps": None, "vision": True},
            "projector": projector,
            "learning_rate": "0.001",
            "max_grad_norm": "1",
            "max_images": 4,
            "max_seq_length": 512,
            "method": block,
            "objective": resolve_objective(objective),
            "optimizer": "adamw",
            "precision": "float32",
            "attention": "sdpa",
            "quantisation": None,
            "projector_learning_rate": "0.0005",
            "schedule": "cosine",
            "segments": SEGMENTS,
            "shrink_images": False,
            "steps": STEPS,
            "warmup_steps": 0,
            "weight_decay": "0",
        },
    }
    lock["seeds"] = derive_seeds(lock)
    return lock
