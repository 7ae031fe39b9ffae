"""Train: the lock's training block in the form that training reads. Torch-free and pure.

What a verifier derives again from the same block is in `kolm.format.schedule`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kolm import canonical
from kolm.digest import Digest
from kolm.errors import Refused
from kolm.format.optimizer import OPTIMIZERS
from kolm.format.schedule import Schedule, read_schedule
from kolm.methods import METHODS, Method, method_of
from kolm.methods.projector import Projector
from kolm.methods.quantisation import Quantisation, quantisation_of
from kolm.models.device import KINDS
from kolm.objectives import OBJECTIVES, Objective, objective_of

if TYPE_CHECKING:
    from kolm.records.documents import Lock, LockTrainContinues, LockTrainValidationAnswers


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainPlan:
    """What the lock says about training, in the form that the loop reads.

    `schedule` says what happens when; the rest says to what and how.
    """

    base_family: str
    device: str
    precision: str
    optimizer: str
    attention: str
    quantisation: Quantisation | None
    objective: Objective
    method: Method
    adapt_vision: bool
    projector: Projector
    schedule: Schedule
    weight_decay: float
    max_grad_norm: float
    answers: LockTrainValidationAnswers | None
    continues: LockTrainContinues | None
    initialisation_seed: Digest


def read_plan(lock: Lock) -> TrainPlan:
    """The training plan of a lock.

    Raises:
        Refused: an objective, method, schedule or device that this version does not train with.
    """
    train = lock["train"]
    for name, value, known in (
        ("train.objective.kind", train["objective"]["kind"], tuple(OBJECTIVES)),
        ("train.method.kind", train["method"]["kind"], tuple(METHODS)),
        ("train.optimizer", train["optimizer"], tuple(OPTIMIZERS)),
        ("train.schedule", train["schedule"], ("cosine", "linear", "constant")),
        ("environment.device", lock["environment"]["device"], KINDS),
    ):
        if value not in known:
            raise Refused(
                "E_TRAIN_UNSUPPORTED",
                f"this version of kolm has no such {name.split('.')[1]}",
                where=name,
                expected=", ".join(known),
                found=str(value),
            )
    freeze = train["freeze"]
    return TrainPlan(
        base_family=lock["base"]["family"],
        device=lock["environment"]["device"],
        precision=train["precision"],
        optimizer=train["optimizer"],
        attention=train["attention"],
        quantisation=quantisation_of(train["quantisation"]),
        objective=objective_of(train["objective"]),
        method=method_of(train["method"]),
        adapt_vision=freeze["vision"] is False,
        projector=train["projector"],
        schedule=read_schedule(lock),
        weight_decay=_number(train["weight_decay"], "weight_decay"),
        max_grad_norm=_number(train["max_grad_norm"], "max_grad_norm"),
        answers=train["validation"]["answers"] if train["validation"] else None,
        continues=train["continues"],
        initialisation_seed=Digest(lock["seeds"]["initialisation"]),
    )


def _number(text: str, key: str) -> float:
    return float(canonical.parse_decimal(text, where=f"train.{key}"))
