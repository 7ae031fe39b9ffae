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

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from bench.beside_trl import (
    Said,
    answer,
    arguments,
    clock,
    in_turns,
    make_run,
    material,
    open_run,
    print_table,
    questions,
    said,
    same_settings,
)

BATCH, RATE, ROWS = 32, 0.001, 3000
CONTESTANTS = ("kolm", "trl", "trl-best")


def kolm_steps(run: Path, steps: int, threads: int) -> Said:
    """What is done once, and the seconds of a step."""
    session, once = open_run(run, threads)
    times, last = [], time.process_time()
    for _ in range(steps):
        session.trainer.run_step()
        now = time.process_time()
        times.append(now - last)
        last = now
    return said(once, times)


def trl_steps(run: Path, steps: int, threads: int, *, best: bool) -> Said:
    """As `kolm_steps`; TRL does nothing once that is worth a number."""
    from datasets import Dataset, Image
    from trl import SFTConfig, SFTTrainer

    from kolm import roles

    projector = list(roles.family("qwen2_5_vl").projector_modules)
    model, processor, peft_config = material(threads, modules_to_save=projector)
    data = Dataset.from_list([_trl_row(row, best=best) for row in questions(ROWS)])
    fastest = {"gradient_checkpointing": False} if best else {}
    callback, times = clock()
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(**same_settings(run, steps + 1, BATCH, RATE), **fastest),
        train_dataset=data.cast_column("image", Image()),
        processing_class=processor,
        peft_config=peft_config,
        callbacks=[callback],
    )
    trainer.train()
    return said(0.0, times)


def _trl_row(row: dict[str, Any], *, best: bool) -> dict[str, Any]:
    question = {"role": "user", "content": row["prompt"]}
    response = {"role": "assistant", "content": row["response"]}
    if best:
        return {"image": row["image"], "prompt": [question], "completion": [response]}
    return {"image": row["image"], "messages": [question, response]}


def main() -> None:
    """Run the contestants in turns and print the table."""
    asked = arguments(__doc__, CONTESTANTS, rounds=5, steps=30, threads=2)
    if asked.child:
        best = asked.child == "trl-best"
        answer(kolm_steps if asked.child == "kolm" else partial(trl_steps, best=best), asked)
        return
    train = {
        "learning_rate": RATE,
        "batch_size": BATCH,
        "steps": asked.steps,
        "threads": asked.threads,
    }
    with tempfile.TemporaryDirectory() as place:
        run = make_run(Path(place), questions(ROWS), train)
        print_table(list(in_turns("bench.sft_step", CONTESTANTS, run, asked)))


if __name__ == "__main__":
    main()
