"""Losses and seconds of one DPO step, beside TRL's DPOTrainer, on the same work.

    python -m bench.dpo_step --rounds 3 --steps 20 --threads 1

Same base (the embedded one), pairs (easy-VQA, the rejected answer being another one), order, prompt
and answer tokens, initial adapter, AdamW, constant rate, float32, no dropout, threads. First the
losses of every step are held against each other: where they differ by more than 1e-5, the work was
not the same and nothing is timed. TRL runs with the settings that make it fastest here: no gradient
checkpointing. It cannot compute the reference once for rows with pictures, so that every step runs
the tower and the reference; kolm does both once, which is a column of its own.
"""

from __future__ import annotations

import argparse
import io
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

BATCH, RANK, ALPHA, RATE, BETA = 16, 16, 32, 0.0005, 0.1
ROWS, SKIPPED = 600, 5
CONTESTANTS = ("kolm", "trl-best")
TOLERANCE = 1e-5
Said = dict[str, Any]


def rows() -> list[dict[str, Any]]:
    """Questions of easy-VQA's training side, each with the answer of another question."""
    import easy_vqa

    paths = easy_vqa.get_train_image_paths()
    listed = list(itertools.islice(zip(*easy_vqa.get_train_questions(), strict=True), ROWS))
    answers = [answer for _, answer, _ in listed]
    others = [
        next(a for a in itertools.chain(answers[number + 1 :], answers) if a != answer)
        for number, answer in enumerate(answers)
    ]
    return [
        {"image": str(paths[n]), "prompt": question, "response": answer, "rejected": other}
        for (question, answer, n), other in zip(listed, others, strict=True)
    ]


def make_run(folder: Path, steps: int, threads: int) -> Path:
    """A run folder of kolm; TRL reads its rows, order and initial adapter from there."""
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
        "train": {
            "objective": {"kind": "dpo", "beta": BETA},
            "method": {"kind": "lora", "rank": RANK, "alpha": ALPHA},
            "projector": "frozen",
            "learning_rate": RATE,
            "schedule": "constant",
            "warmup_steps": 0,
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
    return run


def kolm_steps(run: Path, steps: int, threads: int) -> Said:
    """What is done once, seconds and loss of each step; leaves what TRL begins with."""
    from kolm.events import Silent
    from kolm.models.device import settle
    from kolm.train.checkpoints import encode_tensors
    from kolm.train.session import open_session

    settle("cpu", threads)
    began = time.perf_counter()
    session = open_session(run, Silent())
    once = time.perf_counter() - began
    tensors = {t.name: t.parameter for t in session.trainer.attached.tensors}
    (run / "initial.safetensors").write_bytes(encode_tensors(tensors))
    times, losses, order = [], [], []
    for _ in range(steps):
        last = time.perf_counter()
        facts = session.trainer.run_step()
        times.append(time.perf_counter() - last)
        losses.append(facts.loss)
        order.append(list(facts.positions))
    pairs = {pair.position: pair for pair in session.train.examples}
    ids = [
        [[*pairs[n].chosen.input_ids], [*pairs[n].rejected.input_ids]]  # type: ignore[union-attr]
        for n in itertools.chain(*order)
    ]
    (run / "order.json").write_bytes(canonical.dumps({"ids": ids, "order": order}))
    return said(once, times, losses)


def trl_steps(run: Path, steps: int, threads: int) -> Said:
    """As `kolm_steps`; TRL does nothing once that is worth a number."""
    import torch

    torch.set_num_threads(threads)
    from datasets import Dataset, Features, Image, Value
    from peft import LoraConfig, set_peft_model_state_dict
    from safetensors.torch import load_file
    from torch.utils.data import SequentialSampler
    from transformers import TrainerCallback
    from trl import DPOConfig, DPOTrainer

    from kolm import roles
    from kolm.models.load import load_model
    from kolm.models.processor import load_processor
    from kolm.models.resolve import resolve_base

    base = resolve_base("kolm/nano-1").folder
    family, processor = roles.family("qwen2_5_vl"), load_processor(base)
    order = canonical.loads((run / "order.json").read_bytes(), where="order")
    features = Features(
        {"image": Image(), **{name: Value("string") for name in ("prompt", "chosen", "rejected")}}
    )
    data = Dataset.from_list(list(trl_rows(run, order["order"], processor)), features=features)
    times: list[float] = []
    losses: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        last = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.last = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            times.append(time.perf_counter() - self.last)

        def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
            if "loss" in logs:
                losses.append(float(logs["loss"]))

    class InOrder(DPOTrainer):  # type: ignore[misc]
        def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
            return SequentialSampler(self.train_dataset)

        def training_step(self, model: Any, inputs: Any, *rest: Any) -> Any:
            rows = zip(inputs["input_ids"].tolist(), inputs["attention_mask"].tolist(), strict=True)
            ids = [[n for n, on in zip(*row, strict=True) if on] for row in rows]
            first = len(times) * BATCH
            for pair, one, other in zip(
                order["ids"][first : first + BATCH], ids[:BATCH], ids[BATCH:], strict=True
            ):
                # kolm's rows go on with what the template writes behind an answer, and learn none.
                assert pair[0][: len(one)] == one
                assert pair[1][: len(other)] == other
            return super().training_step(model, inputs, *rest)

    trainer = InOrder(
        model=load_model(base),
        args=DPOConfig(
            output_dir=str(run / "trl"),
            beta=BETA,
            per_device_train_batch_size=BATCH,
            max_steps=steps,
            max_length=None,
            learning_rate=RATE,
            lr_scheduler_type="constant",
            warmup_steps=0,
            max_grad_norm=1.0,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            logging_steps=1,
            logging_strategy="steps",
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
        ),
        train_dataset=data,
        processing_class=processor,
        peft_config=LoraConfig(
            r=RANK,
            lora_alpha=ALPHA,
            lora_dropout=0.0,
            target_modules=family.target_expression(family.lora_leaf_names),
        ),
        callbacks=[Clock()],
    )
    set_peft_model_state_dict(trainer.model, load_file(run / "initial.safetensors"))
    trainer.train()
    return said(0.0, times, losses)


def trl_rows(run: Path, order: list[list[int]], processor: Any) -> Iterator[dict[str, Any]]:
    """The pairs that kolm read, in its order, as texts that the template has been put around."""
    from PIL import Image

    from kolm.capture.store import CaptureStore
    from kolm.train.prepare import read_inputs

    inputs = read_inputs(run)
    train = [row for row in inputs.rows if row.split == "train"]
    with CaptureStore.open_to_read(inputs.places.captures) as store:
        for number in itertools.chain(*order):
            data = store.read(train[number].capture).data
            capture = canonical.loads_canonical(data, where="capture")
            picture = store.blobs.read(capture["images"][0]["file"])
            prompt = processor.apply_chat_template(
                capture["messages"][:-1], add_generation_prompt=True, tokenize=False
            )
            end = "<|im_end|>"
            yield {
                "image": Image.open(io.BytesIO(picture)).convert("RGB"),
                "prompt": prompt,
                "chosen": capture["messages"][-1]["content"][0]["text"] + end,
                "rejected": capture["rejected"] + end,
            }


def said(once: float, times: list[float], losses: list[float]) -> Said:
    """The answer of a child."""
    median = statistics.median(times[min(SKIPPED, len(times) // 2) :])
    return {
        "once": f"{once:.3f}",
        "step": f"{median:.4f}",
        "losses": [canonical.decimal(loss, 8) for loss in losses],
    }


def run_child(name: str, run: Path, asked: argparse.Namespace) -> Said:
    """Run one contestant in a process of its own."""
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": str(asked.threads),
        "TRL_EXPERIMENTAL_SILENCE": "1",
    }
    command = [sys.executable, "-m", "bench.dpo_step", "--child", name, "--run", str(run)]
    command += ["--steps", str(asked.steps), "--threads", str(asked.threads)]
    ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    found: Said = canonical.loads(ran.stdout.splitlines()[-1], where=name)
    return found


def main() -> None:
    """Hold the losses against each other, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--child", choices=CONTESTANTS)
    parser.add_argument("--run", type=Path)
    asked = parser.parse_args()
    if asked.child:
        work = kolm_steps if asked.child == "kolm" else trl_steps
        print(canonical.dumps(work(asked.run, asked.steps, asked.threads)).decode())
        return
    found: dict[str, list[Said]] = {name: [] for name in CONTESTANTS}
    with tempfile.TemporaryDirectory() as place:
        run = make_run(Path(place), asked.steps, asked.threads)
        for number in range(asked.rounds):
            for name in CONTESTANTS:
                found[name].append(run_child(name, run, asked))
                print(f"round {number + 1}  {name:9} {found[name][-1]['step']}", file=sys.stderr)
            ours, theirs = (found[name][-1]["losses"] for name in CONTESTANTS)
            apart = max(abs(float(a) - float(b)) for a, b in zip(ours, theirs, strict=True))
            print(f"losses of {len(ours)} steps: {ours[0]} … {ours[-1]}, at most {apart:.1e} apart")
            if apart > TOLERANCE:
                raise SystemExit(f"not the same work: more than {TOLERANCE} apart")
    ours = statistics.median(float(one["step"]) for one in found["kolm"])
    print("contestant   s a step   beside kolm's   s once before")
    for name, numbers in found.items():
        step = statistics.median(float(one["step"]) for one in numbers)
        once = statistics.median(float(one["once"]) for one in numbers)
        print(f"{name:12} {step:8.4f}   {step / ours:13.2f}   {once:13.1f}")


if __name__ == "__main__":
    main()
