"""Seconds of one training step, beside TRL's SFTTrainer, on the same work.

    python -m bench.sft_step --rounds 5 --steps 30 --threads 2

Same base (the embedded one), rows (easy-VQA), batch, precision, LoRA targets and rank, projector
trained whole, AdamW, threads. Each contestant runs in a process of its own, in turns, and is timed
from the end of one step to the end of the next, data loading included; the first steps are left
out. TRL runs twice: with its defaults, and with the settings that make it fastest here: no
gradient checkpointing, and rows whose answers alone are trained on.

What kolm does once before its steps, the tower over every distinct picture, is no part of a step
and is shown in a column of its own.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kolm import canonical

BATCH, RANK, ALPHA, RATE = 32, 16, 32, 0.001
ROWS, SKIPPED = 3000, 5
CONTESTANTS = ("kolm", "trl", "trl-best")


def rows() -> list[dict[str, Any]]:
    """The first questions of easy-VQA's training side."""
    import easy_vqa

    paths = easy_vqa.get_train_image_paths()
    listed = zip(*easy_vqa.get_train_questions(), strict=True)
    return [
        {"image": str(paths[number]), "prompt": question, "response": answer}
        for question, answer, number in itertools.islice(listed, ROWS)
    ]


def kolm_steps(steps: int, threads: int, folder: Path) -> Iterator[float]:
    """The first number is what is done once; then one for each step."""
    from kolm.actions.preparing import prepare
    from kolm.actions.stages import write_inputs
    from kolm.bundle.base_root import base_root
    from kolm.events import Silent
    from kolm.models.device import settle
    from kolm.run.folder import Places
    from kolm.train.session import open_session

    spec = {
        "kolm": 1,
        "name": "bench",
        "base": "kolm/nano-1",
        "data": {
            "captures": "captures",
            "split": {"eval": 0.05, "validation": 0},
            "near_duplicates": "report",
        },
        "train": {
            "method": {"kind": "lora", "rank": RANK, "alpha": ALPHA},
            "learning_rate": RATE,
            "batch_size": BATCH,
            "steps": steps,
            "threads": threads,
        },
    }
    prepared = prepare(spec, rows=rows(), project=folder, measure=base_root, reporter=Silent())
    run = folder / "run"
    run.mkdir()
    places = Places(base=prepared.base.folder, captures=prepared.store_folder)
    write_inputs(run, prepared.snapshot.files(), prepared.lock, places)
    settle("cpu", threads)
    began = time.perf_counter()
    session = open_session(run, Silent())
    yield time.perf_counter() - began
    yield from timed(session.trainer.run_step, steps)


def timed(step: Any, steps: int) -> Iterator[float]:
    """Seconds between the ends of steps."""
    last = time.perf_counter()
    for _ in range(steps):
        step()
        now = time.perf_counter()
        yield now - last
        last = now


def trl_steps(steps: int, threads: int, folder: Path, *, best: bool) -> list[float]:
    """As `kolm_steps`; TRL does nothing once that is worth a number."""
    import torch

    torch.set_num_threads(threads)
    from datasets import Dataset, Image
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from kolm import roles
    from kolm.models.load import load_model
    from kolm.models.processor import load_processor
    from kolm.models.resolve import resolve_base

    base = resolve_base("kolm/nano-1").folder
    family = roles.family("qwen2_5_vl")
    data = Dataset.from_list([_trl_row(row, best=best) for row in rows()])
    data = data.cast_column("image", Image())
    times: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        last = 0.0

        def on_step_end(self, *_: Any, **__: Any) -> None:
            now = time.perf_counter()
            if self.last:
                times.append(now - self.last)
            self.last = now

    fastest = {"gradient_checkpointing": False} if best else {}
    model = load_model(base)
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(folder),
            per_device_train_batch_size=BATCH,
            max_steps=steps + 1,
            learning_rate=RATE,
            use_cpu=True,
            bf16=False,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            **fastest,
        ),
        train_dataset=data,
        processing_class=load_processor(base),
        peft_config=LoraConfig(
            r=RANK,
            lora_alpha=ALPHA,
            target_modules=family.target_expression(family.lora_leaf_names),
            modules_to_save=list(family.projector_modules),
        ),
        callbacks=[Clock()],
    )
    trainer.train()
    return [0.0, *times]


def _trl_row(row: dict[str, Any], *, best: bool) -> dict[str, Any]:
    question = {"role": "user", "content": row["prompt"]}
    answer = {"role": "assistant", "content": row["response"]}
    if best:
        return {"image": row["image"], "prompt": [question], "completion": [answer]}
    return {"image": row["image"], "messages": [question, answer]}


def child(contestant: str, steps: int, threads: int) -> None:
    """Run one contestant and print its numbers."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if contestant == "kolm":
            times = list(kolm_steps(steps, threads, folder))
        else:
            times = trl_steps(steps, threads, folder, best=contestant == "trl-best")
    once, *each = times
    median = statistics.median(each[min(SKIPPED, len(each) // 2) :])
    print(canonical.dumps({"once": f"{once:.3f}", "step": f"{median:.4f}"}).decode())


def main() -> None:
    """Run the contestants in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--child", choices=CONTESTANTS)
    asked = parser.parse_args()
    if asked.child:
        child(asked.child, asked.steps, asked.threads)
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": str(asked.threads),
        "TRL_EXPERIMENTAL_SILENCE": "1",
    }
    for number in range(asked.rounds):
        for name in CONTESTANTS:
            arguments = ["--child", name, "--steps", str(asked.steps)]
            ran = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "bench.sft_step",
                    *arguments,
                    "--threads",
                    str(asked.threads),
                ],
                env=environment,
                stdout=subprocess.PIPE,
                check=True,
            )
            said = canonical.loads(ran.stdout.splitlines()[-1], where=name)
            found[name].append({key: float(value) for key, value in said.items()})
            print(f"round {number + 1}  {name:12} {said['step']} s a step", file=sys.stderr)
    ours = statistics.median(one["step"] for one in found["kolm"])
    print("contestant   s a step   kolm's share   s once before")
    for name, numbers in found.items():
        step = statistics.median(one["step"] for one in numbers)
        once = statistics.median(one["once"] for one in numbers)
        print(f"{name:12} {step:8.4f}   {ours / step:12.3f}   {once:13.1f}")


if __name__ == "__main__":
    main()
