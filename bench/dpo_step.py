"""Losses and seconds of one DPO step, beside TRL's DPOTrainer, on the same work.

    python -m bench.dpo_step --rounds 3 --steps 20 --threads 1

Same base (the embedded one), pairs (easy-VQA, the rejected answer being another one), order, prompt
and answer tokens, initial adapter, AdamW, constant rate, float32, no dropout, threads. First the
losses of every step are held against each other: where they differ by more than 1e-5, the work was
not the same and nothing is timed. TRL runs with the settings that make it fastest here: no gradient
checkpointing. It cannot compute the reference once for rows with pictures, so that every step runs
the tower and the reference; kolm does both once, which is a column of its own. A step is timed from
the end of the one before it, data loading included.
"""

from __future__ import annotations

import io
import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.beside_trl import (
    Row,
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
from kolm import canonical

BATCH, RATE, BETA, ROWS = 16, 0.0005, 0.1, 600
CONTESTANTS = ("kolm", "trl-best")
TOLERANCE = 1e-5


def rows() -> list[Row]:
    """Questions of easy-VQA's training side, each with the answer of another question."""
    listed = questions(ROWS)
    answers = [row["response"] for row in listed]
    others = [
        next(a for a in itertools.chain(answers[number + 1 :], answers) if a != right)
        for number, right in enumerate(answers)
    ]
    return [{**row, "rejected": other} for row, other in zip(listed, others, strict=True)]


def kolm_steps(run: Path, steps: int, threads: int) -> Said:
    """What is done once, seconds and loss of each step; leaves what TRL begins with."""
    from kolm.train.checkpoints import encode_tensors

    session, once = open_run(run, threads)
    tensors = {t.name: t.parameter for t in session.trainer.attached.tensors}
    (run / "initial.safetensors").write_bytes(encode_tensors(tensors))
    times, losses, order = [], [], []
    last = time.process_time()
    for _ in range(steps):
        facts = session.trainer.run_step()
        now = time.process_time()
        times.append(now - last)
        last = now
        losses.append(facts.loss)
        order.append(list(facts.positions))
    pairs = {pair.position: pair for pair in session.train.examples}
    ids = [
        [[*pairs[n].chosen.input_ids], [*pairs[n].rejected.input_ids]]  # type: ignore[union-attr]
        for n in itertools.chain(*order)
    ]
    (run / "order.json").write_bytes(canonical.dumps({"ids": ids, "order": order}))
    return with_losses(said(once, times), losses)


def trl_steps(run: Path, steps: int, threads: int) -> Said:
    """As `kolm_steps`; TRL does nothing once that is worth a number."""
    from datasets import Dataset, Features, Image, Value
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file
    from torch.utils.data import DataLoader
    from trl import DPOConfig, DPOTrainer

    model, processor, peft_config = material(threads, lora_dropout=0.0)
    order = canonical.loads((run / "order.json").read_bytes(), where="order")
    features = Features(
        {"image": Image(), **{name: Value("string") for name in ("prompt", "chosen", "rejected")}}
    )
    data = Dataset.from_list(list(trl_rows(run, order["order"], processor)), features=features)
    callback, times = clock()
    losses: list[float] = []
    batches: list[tuple[Any, Any]] = []

    class InOrder(DPOTrainer):  # type: ignore[misc]
        def get_train_dataloader(self) -> Any:
            rows = iter(range(len(self.train_dataset)))  # kolm's batches are not all of one size
            steps = [list(itertools.islice(rows, len(step))) for step in order["order"]]
            return DataLoader(
                self.train_dataset, batch_sampler=steps, collate_fn=self.data_collator
            )

        def training_step(self, model: Any, inputs: Any, *rest: Any) -> Any:
            batches.append((inputs["input_ids"], inputs["attention_mask"]))
            loss = super().training_step(model, inputs, *rest)
            losses.append(float(loss))
            return loss

    trainer = InOrder(
        model=model,
        args=DPOConfig(
            **same_settings(run, steps, BATCH, RATE),
            beta=BETA,
            max_length=None,
            lr_scheduler_type="constant",
            warmup_steps=0,
            max_grad_norm=1.0,
            gradient_checkpointing=False,
        ),
        train_dataset=data,
        processing_class=processor,
        peft_config=peft_config,
        callbacks=[callback],
    )
    set_peft_model_state_dict(trainer.model, load_file(run / "initial.safetensors"))
    trainer.train()
    demand_same_tokens(order, batches)
    return with_losses(said(0.0, times), losses)


def trl_rows(run: Path, order: list[list[int]], processor: Any) -> Iterator[Row]:
    """The pairs that kolm read, in its order, as texts that the template has been put around."""
    from PIL import Image

    from kolm.capture.store import CaptureStore
    from kolm.train.prepare import read_inputs

    inputs, end = read_inputs(run), processor.tokenizer.eos_token
    train = [row for row in inputs.rows if row.split == "train"]
    with CaptureStore.open_to_read(inputs.places.captures) as store:
        for number in itertools.chain(*order):
            data = store.read(train[number].capture).data
            capture = canonical.loads_canonical(data, where="capture")
            picture = store.blobs.read(capture["images"][0]["file"])
            prompt = processor.apply_chat_template(
                capture["messages"][:-1], add_generation_prompt=True, tokenize=False
            )
            yield {
                "image": Image.open(io.BytesIO(picture)).convert("RGB"),
                "prompt": prompt,
                "chosen": capture["messages"][-1]["content"][0]["text"] + end,
                "rejected": capture["rejected"] + end,
            }


def demand_same_tokens(order: dict[str, Any], batches: list[tuple[Any, Any]]) -> None:
    """Hold what TRL read against kolm's chosen and rejected rows, which are in its order."""
    pairs = iter(order["ids"])
    steps = zip(order["order"], batches, strict=True)
    for number, (positions, (tokens, mask)) in enumerate(steps, start=1):
        seen = [row[on.bool()].tolist() for row, on in zip(tokens, mask, strict=True)]
        ours = list(itertools.islice(pairs, len(positions)))
        sides = [*(chosen for chosen, _ in ours), *(rejected for _, rejected in ours)]
        for own, theirs in zip(sides, seen, strict=True):
            # kolm's rows go on with what the template writes behind an answer, and learn none.
            if own[: len(theirs)] != theirs:
                raise SystemExit(f"not the same tokens in step {number}: {own} and {theirs}")


def with_losses(answered: Said, losses: list[float]) -> Said:
    """The answer of a contestant, with the loss of each step."""
    return {**answered, "losses": [canonical.decimal(loss, 8) for loss in losses]}


def demand_same_losses(found: dict[str, Said]) -> None:
    """Print how far apart the losses are, and go on only where that is rounding."""
    ours, theirs = (found[name]["losses"] for name in CONTESTANTS)
    apart = [abs(float(a) - float(b)) for a, b in zip(ours, theirs, strict=True)]
    print(f"losses of {len(ours)} steps: {ours[0]} … {ours[-1]}, at most {max(apart):.1e} apart")
    for step, (gap, own, other) in enumerate(zip(apart, ours, theirs, strict=True), start=1):
        if gap > TOLERANCE:
            raise SystemExit(f"not the same work in step {step}: {own} and {other}")


def main() -> None:
    """Hold the losses against each other, then print the table."""
    asked = arguments(__doc__, CONTESTANTS, rounds=3, steps=20, threads=1)
    if asked.child:
        answer(kolm_steps if asked.child == "kolm" else trl_steps, asked)
        return
    train = {
        "objective": {"kind": "dpo", "beta": BETA},
        "projector": "frozen",
        "learning_rate": RATE,
        "schedule": "constant",
        "warmup_steps": 0,
        "batch_size": BATCH,
        "steps": asked.steps,
        "threads": asked.threads,
    }
    rounds = []
    with tempfile.TemporaryDirectory() as place:
        run = make_run(Path(place), rows(), train)
        for found in in_turns("bench.dpo_step", CONTESTANTS, run, asked):
            demand_same_losses(found)
            rounds.append(found)
    print_table(rounds)


if __name__ == "__main__":
    main()
