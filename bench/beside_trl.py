"""What is the same whichever trainer of TRL kolm stands beside.

A run folder of kolm is made once, of questions of easy-VQA; then each contestant takes its steps in
a process of its own, in turns, and answers with one line of JSON. Seconds are the processor's, of
all threads of that process, so that what else the machine does is on nobody's account.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kolm import canonical

if TYPE_CHECKING:
    from peft import LoraConfig

    from kolm.train.session import TrainingSession

RANK, ALPHA = 16, 32
SKIPPED = 5  # first steps, which are slow everywhere
Row = dict[str, Any]
Said = dict[str, Any]


def questions(count: int) -> list[Row]:
    """The first questions of easy-VQA's training side."""
    import easy_vqa

    paths = easy_vqa.get_train_image_paths()
    listed = zip(*easy_vqa.get_train_questions(), strict=True)
    return [
        {"image": str(paths[number]), "prompt": question, "response": answer}
        for question, answer, number in itertools.islice(listed, count)
    ]


def make_run(folder: Path, rows: list[Row], train: dict[str, Any]) -> Path:
    """A run folder of kolm inside `folder`; `train` is of the spec, without its method."""
    from kolm.actions.preparing import prepare
    from kolm.actions.stages import write_inputs
    from kolm.bundle.base_root import base_root
    from kolm.events import Silent
    from kolm.run.folder import Places

    spec = {
        "kolm": 1,
        "name": "bench",
        "base": "kolm/nano-1",
        "data": {
            "captures": "captures",
            "split": {"eval": 0.05, "validation": 0},
            "near_duplicates": "report",
        },
        "train": {"method": {"kind": "lora", "rank": RANK, "alpha": ALPHA}, **train},
    }
    prepared = prepare(spec, rows=rows, project=folder, measure=base_root, reporter=Silent())
    run = folder / "run"
    run.mkdir()
    places = Places(base=prepared.base.folder, captures=prepared.store_folder)
    write_inputs(run, prepared.snapshot.files(), prepared.lock, places)
    return run


def open_run(run: Path, threads: int) -> tuple[TrainingSession, float]:
    """kolm's own training of a run folder, and the seconds of what it does once."""
    from kolm.events import Silent
    from kolm.models.device import settle
    from kolm.train.session import open_session

    settle("cpu", threads)
    began = time.process_time()
    session = open_session(run, Silent())
    return session, time.process_time() - began


class Material(NamedTuple):
    """What a trainer of TRL is given of the base and of the method."""

    model: Any
    processor: Any
    peft_config: LoraConfig


def material(threads: int, **method: Any) -> Material:
    """The base as kolm loads it, and kolm's targets; `method` is more of PEFT's LoRA."""
    import torch
    from peft import LoraConfig

    from kolm import roles
    from kolm.models.load import load_model
    from kolm.models.processor import load_processor
    from kolm.models.resolve import resolve_base

    torch.set_num_threads(threads)
    base = resolve_base("kolm/nano-1").folder
    family = roles.family("qwen2_5_vl")
    targets = family.target_expression(family.lora_leaf_names)
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets, **method)
    return Material(load_model(base), load_processor(base), config)


def same_settings(run: Path, steps: int, batch_size: int, rate: float) -> dict[str, Any]:
    """Arguments of any of TRL's configurations."""
    return {
        "output_dir": str(run / "trl"),
        "per_device_train_batch_size": batch_size,
        "max_steps": steps,
        "learning_rate": rate,
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
    }


def clock() -> tuple[Any, list[float]]:
    """A callback of a trainer, and where it puts the seconds between the ends of two steps."""
    from transformers import TrainerCallback

    times: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        last = 0.0

        def on_step_end(self, *_: Any, **__: Any) -> None:
            now = time.process_time()
            if self.last:
                times.append(now - self.last)
            self.last = now

    return Clock(), times


def said(once: float, times: Sequence[float]) -> Said:
    """What a contestant answers: seconds done once, and the median of a step."""
    median = statistics.median(times[min(SKIPPED, len(times) // 2) :])
    return {"once": f"{once:.3f}", "step": f"{median:.4f}"}


def arguments(doc: str, contestants: Sequence[str], **defaults: int) -> argparse.Namespace:
    """The command line: rounds, steps and threads; the rest is for the children."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--child", choices=contestants, help=argparse.SUPPRESS)
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def answer(work: Callable[[Path, int, int], Said], asked: argparse.Namespace) -> None:
    """In a child: take the steps and print what there is to say."""
    print(canonical.dumps(work(asked.run, asked.steps, asked.threads)).decode())


def in_turns(
    module: str, contestants: Sequence[str], run: Path, asked: argparse.Namespace
) -> Iterator[dict[str, Said]]:
    """One round after the other: what each contestant said, run in a process of its own."""
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": str(asked.threads),
        "TRL_EXPERIMENTAL_SILENCE": "1",
    }
    same = ["--run", str(run), "--steps", str(asked.steps), "--threads", str(asked.threads)]
    for number in range(asked.rounds):
        found: dict[str, Said] = {}
        for name in contestants:
            command = [sys.executable, "-m", module, "--child", name, *same]
            ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
            found[name] = canonical.loads(ran.stdout.splitlines()[-1], where=name)
            print(f"round {number + 1}  {name:12} {found[name]['step']} s a step", file=sys.stderr)
        yield found


def print_table(rounds: Sequence[dict[str, Said]]) -> None:
    """Medians over the rounds, beside kolm's."""

    def median(name: str, what: str) -> float:
        return statistics.median(float(found[name][what]) for found in rounds)

    ours = median("kolm", "step")
    print("contestant   CPU s a step   beside kolm's   CPU s once before")
    for name in rounds[0]:
        step, once = median(name, "step"), median(name, "once")
        print(f"{name:12} {step:12.4f}   {step / ours:13.2f}   {once:17.1f}")
