"""What TRL's published losses give on the recorded pairs; see `record`.

SimPO and the odds-ratio term of ORPO are functions there and are called. DPO's, IPO's and KTO's
stand inside of trainers, so nothing is said of them here; `bench/dpo_step.py` compares whole steps
of DPO. TRL has no DDPO of pairs.
"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import torch
from trl.experimental.cpo import CPOTrainer
from trl.experimental.orpo import ORPOTrainer

from tests.vectors.objectives.record import Row, path_of

PLACE = SimpleNamespace(device="cpu")


def _mean(row: Row, side: str) -> Any:
    values = [float(value) for value in row[side]["policy"]]
    return torch.tensor([sum(values) / len(values)])


def simpo(row: Row) -> tuple[float, float]:
    """What was recorded, and TRL's loss."""
    told = {name: float(value) for name, value in row["settings"].items()}
    trainer = SimpleNamespace(
        alpha=0.0, accelerator=PLACE, loss_type="simpo", label_smoothing=0.0,
        beta=told["beta"], simpo_gamma=told["gamma"],
    )  # fmt: skip
    losses = CPOTrainer.cpo_loss(trainer, _mean(row, "chosen"), _mean(row, "rejected"))[0]
    return float(row["loss"]), float(losses)


def orpo(row: Row) -> tuple[float, float]:
    """What was recorded, and TRL's penalty beside the mean negative log-likelihood."""
    chosen, rejected = _mean(row, "chosen"), _mean(row, "rejected")
    trainer = SimpleNamespace(accelerator=PLACE, beta=float(row["settings"]["odds_weight"]))
    odds = ORPOTrainer.odds_ratio_loss(trainer, chosen, rejected)[0]
    return float(row["loss"]), float(-chosen - odds)


def compare() -> None:
    """Print the largest relative difference of each; TRL computes in float32."""
    for name, loss in (("orpo", orpo), ("simpo", simpo)):
        lines = path_of(name).read_text(encoding="utf-8").splitlines()
        found = [loss(json.loads(line)) for line in lines]
        worst = max(abs(a - b) / max(1.0, abs(a)) for a, b in found)
        print(f"{name}: {len(found)} pairs, at most {worst:.1e} apart")
        if worst > 1e-5:
            raise SystemExit(f"{name} of TRL gives other losses")
