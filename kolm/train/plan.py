"""Train: the lock's training block as numbers, and what follows from them. Torch-free and pure.

What belongs here: schedules, boundaries and limits that a replay must derive again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kolm import canonical
from kolm.digest import Digest
from kolm.errors import Refused

OPTIMIZER = "AdamW (torch, foreach=False, fused=False)"
BETAS = (0.9, 0.999)
EPSILON = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainPlan:
    """What the lock says about training, in the form that the loop reads.

    Learning rates are peak values; `steps` is the most that are run.
    """

    base_family: str
    precision: str
    method: Mapping[str, Any]
    adapt_vision: bool
    train_projector: bool
    projector_after_steps: int | None
    learning_rate: float
    projector_learning_rate: float
    schedule: str
    warmup_steps: int
    weight_decay: float
    max_grad_norm: float
    steps: int
    batch_size: int
    accumulation: int
    max_seq_length: int
    max_images: int
    shrink_images: bool
    segments: int
    patience: int | None
    validate_every: int | None
    continues: Mapping[str, str] | None
    initialisation_seed: Digest
    order_seed: Digest

    @property
    def dropout(self) -> float:
        """The adapter's dropout."""
        return _number(self.method, "dropout")

    def boundaries(self) -> tuple[int, ...]:
        """The steps after which a checkpoint is written: 0, even cuts, and the last step."""
        cuts = min(self.segments, self.steps)
        return tuple(number * self.steps // cuts for number in range(cuts + 1))

    def rate_factor(self, step: int) -> float:
        """The share of the peak learning rate at a 1-based step.

        A linear warm-up, then constant, linear to zero, or half a cosine to zero.
        """
        if step <= self.warmup_steps:
            return step / self.warmup_steps
        if self.schedule == "constant":
            return 1.0
        # The step after the last one would have factor 0, so that the last still learns.
        rest = self.steps - self.warmup_steps + 1
        done = (step - self.warmup_steps) / rest
        if self.schedule == "linear":
            return 1.0 - done
        return 0.5 * (1.0 + math.cos(math.pi * done))

    def projector_frozen(self, step: int) -> bool:
        """Whether the projector no longer learns at a 1-based step."""
        return self.projector_after_steps is not None and step > self.projector_after_steps


def read_plan(lock: Mapping[str, Any]) -> TrainPlan:
    """The training plan of a lock.

    Raises:
        Refused: an objective, method, schedule or device that this version does not train with.
    """
    train, method = lock["train"], lock["train"]["method"]
    for name, value, known in (
        ("train.objective", train["objective"], ("sft",)),
        ("train.method.kind", method["kind"], ("lora",)),
        ("train.schedule", train["schedule"], ("cosine", "linear", "constant")),
        ("environment.device", lock["environment"]["device"], ("cpu",)),
    ):
        if value not in known:
            raise Refused(
                "E_TRAIN_UNSUPPORTED",
                f"this version of kolm does not train with this {name.rpartition('.')[2]}",
                where=name,
                expected=", ".join(known),
                found=str(value),
            )
    freeze, stopping = train["freeze"], train["early_stopping"]
    return TrainPlan(
        base_family=lock["base"]["family"],
        precision=train["precision"],
        method=method,
        adapt_vision=not freeze["vision"],
        train_projector=not freeze["projector"],
        projector_after_steps=freeze["projector_after_steps"],
        learning_rate=_number(train, "learning_rate"),
        projector_learning_rate=_number(train, "projector_learning_rate"),
        schedule=train["schedule"],
        warmup_steps=train["warmup_steps"],
        weight_decay=_number(train, "weight_decay"),
        max_grad_norm=_number(train, "max_grad_norm"),
        steps=train["steps"],
        batch_size=train["batch_size"],
        accumulation=train["accumulation"],
        max_seq_length=train["max_seq_length"],
        max_images=train["max_images"],
        shrink_images=train["shrink_images"],
        segments=train["segments"],
        patience=stopping["patience"] if stopping else None,
        validate_every=stopping["every_steps"] if stopping else None,
        continues=train["continues"],
        initialisation_seed=Digest(lock["seeds"]["initialisation"]),
        order_seed=Digest(lock["seeds"]["order"]),
    )


def _number(block: Mapping[str, Any], key: str) -> float:
    return float(canonical.parse_decimal(block[key], where=f"train.{key}"))
