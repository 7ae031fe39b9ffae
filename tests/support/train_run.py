"""Run folders for training tests: a tiny base, a store of small captures, a lock, and a child."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kolm import canonical
from kolm.capture import images, png
from kolm.capture.store import CaptureStore
from kolm.format.optimizer import uses_bitsandbytes
from kolm.format.seeds import derive_seeds, training_root
from kolm.records.capture import Capture, ImagePart, Message, Source, TextPart
from kolm.roles import family
from kolm.run.folder import Places, write_places
from kolm.train.profile import child_environment, environment_class
from tests.support import tiny_vlm

ANSWERS = ("red", "a blue one", "seven", "no")
SOMEWHERE = {"device": "cpu", "threads": 1}  # enough of an environment to plan with
ZERO = "sha256:" + "0" * 64


def make_store(folder: Path, count: int, *, pairs: bool = False, mixed: bool = False) -> list[str]:
    """A store of `count` captures over half as many pictures; gives the ids, sorted.

    With `mixed` every second one is of text alone. With `pairs` each has a rejected answer, which
    is the next one's right one.
    """
    with CaptureStore.open(folder, create=True) as store, store.adding() as addition:
        ids = []
        for number in range(count):
            wide = 32 if number % 3 else 48
            picture = png.encode(tiny_vlm.make_picture(number // 2, width=wide))
            record = addition.image(picture)
            question = "what is it" + "?" * (number % 5)
            capture = _capture(record, question, ANSWERS[number % 4], number)
            if mixed and number % 2:
                (asked, answered), (_, text) = capture.messages, capture.messages[0].content
                capture = capture._replace(
                    images=(), messages=(asked._replace(content=(text,)), answered)
                )
            if pairs:
                capture = capture._replace(rejected=ANSWERS[(number + 1) % 4])
            ids.append(addition.capture(capture))
        addition.commit()
    return sorted(ids)


def _capture(record: images.Image, question: str, answer: str, number: int) -> Capture:
    return Capture(
        images=(record,),
        license="",
        messages=(
            Message(
                role="user",
                content=(ImagePart(image=0), TextPart(text=f"{question} {number}")),
            ),
            Message(role="assistant", content=(TextPart(text=answer),)),
        ),
        source=Source(kind="test", name="rows"),
        split=None,
        tags=(),
    )


def make_lock(
    root: str, base_root: str = ZERO, *, environment: dict[str, Any] | None = None, **train: Any
) -> dict[str, Any]:
    """A lock for the tiny base; keyword arguments replace parts of its training block.

    ``looks`` is its ``validation``; ``early_stopping={"patience": …, "every_steps": …}`` is short
    for one that looks at the loss.
    """
    if "looks" in train:
        train["validation"] = train.pop("looks")
    stopping = train.get("early_stopping") or {}
    if "every_steps" in stopping:
        looks = {"every_steps": stopping["every_steps"], "answers": None}
        on_loss = {"patience": stopping["patience"], "on": "loss"}
        train |= {"validation": looks, "early_stopping": on_loss}
    table = family("qwen2_5_vl")
    method = {
        "kind": "lora", "rank": 4, "alpha": 8, "dropout": "0", "rslora": False, "dora": False,
        "targets": list(table.lora_leaf_names),
        "target_expression": table.target_expression(table.lora_leaf_names),
        **train.pop("method", {}),
    }  # fmt: skip
    lock: dict[str, Any] = {
        "schema": "urn:kolm:lock:v1",
        "name": "tiny",
        "base": {
            "id": "local/tiny", "family": "qwen2_5_vl", "revision": None, "root": base_root,
            "tensors": 1, "parameters": 1, "dtype": "float32", "license": "", "papers": [],
            "files": [], "template": tiny_vlm.TEMPLATE,
        },
        "data": {"snapshot": ZERO, "root": root, "training": root, "cases": ZERO},
        "train": {
            "objective": {"kind": "sft"},
            "method": method,
            "freeze": {"vision": True, "projector_after_steps": None},
            "projector": "full",
            "learning_rate": "0.01",
            "projector_learning_rate": "0.005",
            "optimizer": "adamw",
            "schedule": "cosine",
            "warmup_steps": 2,
            "weight_decay": "0",
            "max_grad_norm": "1",
            "steps": 8,
            "batch_size": 4,
            "accumulation": 1,
            "max_seq_length": 128,
            "max_images": 2,
            "shrink_images": False,
            "segments": 4,
            "validation": None,
            "early_stopping": None,
            "continues": None,
            "precision": "float32",
            "attention": "sdpa",
            "quantisation": None,
            **train,
        },
        "evaluation": {
            "metric": {"kind": "exact"}, "max_new_tokens": 8, "batch_size": 4,
            "floors": {
                "accuracy_lower_bound": "0", "worst_slice": "0", "worst_slice_minimum_cases": 30,
                "better_than_base_p": "1", "above_blind": "0", "above_majority": "0", "k": "0",
                "clustered_lower_bound": None, "f1": None,
            },
            "cost": {"kind": "local"},
        },
        "publish": {"text": True, "images": False, "checkpoints": "hashes"},
        "rates": {"source": "spec", "recommended": "0.0002", "reason": "usual"},
        "nonce": "0" * 64,
        "request": None,
        "environment": environment or dict(SOMEWHERE),
    }  # fmt: skip
    lock["seeds"] = derive_seeds(lock)
    return lock


def make_run(
    folder: Path,
    *,
    captures: int = 24,
    validation: int = 0,
    held_out: int = 0,
    list_held_out: bool = True,
    threads: int = 1,
    pairs: bool = False,
    mixed: bool = False,
    processes: int = 1,
    **train: Any,
) -> Path:
    """A run folder, ready for the worker; store and base lie beside it and are made once.

    Of the captures, in their order, `validation` are on that side and then every fourth is on the
    eval side, until `held_out` are; without `list_held_out` the snapshot leaves those out.
    """
    store, base = folder.parent / "captures", folder.parent / "base"
    if not store.exists():
        make_store(store, captures, pairs=pairs, mixed=mixed)
    if not base.exists():
        tiny_vlm.save_base(base)
    with CaptureStore.open(store) as opened:
        ids = [stored.id for stored in opened.rows()]
        rows = []
        for number, stored in enumerate(opened.rows()):
            split = "train" if number >= validation else "validation"
            if split == "train" and number % 4 == 0 and held_out:
                split, held_out = "eval", held_out - 1
                if not list_held_out:
                    continue
            pictures = [{"file": i.file, "pixels": i.pixels} for i in stored.capture.images]
            rows.append({"capture": stored.id, "images": pictures, "split": split})
    assert len(ids) == captures
    folder.mkdir(parents=True)
    root = training_root((row["split"], canonical.dumps(row)) for row in rows)
    (folder / "snapshot.jsonl").write_bytes(canonical.dump_lines(rows))
    used = uses_bitsandbytes(train.get("optimizer", "adamw"), train.get("quantisation"))
    environment = environment_class(threads, bitsandbytes=used)
    lock = make_lock(root, environment=environment, **train)
    (folder / "spec.lock.json").write_bytes(canonical.dumps(lock))
    write_places(folder, Places(base=base, captures=store, processes=processes))
    return folder


def start_worker(
    folder: Path, threads: int = 1, variables: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start the child as the parent process of a compile does, with more variables if given."""
    return subprocess.Popen(
        [sys.executable, "-m", "kolm.worker", "train", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**child_environment(threads), **(variables or {})},
        cwd=Path(__file__).parents[2],
    )


def run_worker(folder: Path, threads: int = 1) -> list[dict[str, Any]]:
    """Run the child to its end and give its events."""
    child = start_worker(folder, threads)
    out, err = child.communicate(timeout=300)
    events = [canonical.loads(line.encode(), where="event") for line in out.splitlines()]
    if child.returncode:
        raise AssertionError(f"{events[-1:]}\n{err[-3000:]}")
    return events


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL document."""
    return [row for _, _, row in canonical.read_lines(path.read_bytes(), where=path.name)]
