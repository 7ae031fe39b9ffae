"""Spec: the step from what the user wants to what will happen. Pure: facts come in as arguments.

Whoever reads a lock needs no default of any version of kolm to know what was done.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, cast

from kolm import canonical, digest, methods, objectives, schema
from kolm.counting import counted
from kolm.digest import Digest
from kolm.errors import Refused
from kolm.format.names import LOCK
from kolm.format.optimizer import OPTIMIZERS
from kolm.format.seeds import derive_seeds
from kolm.methods.projector import Projector
from kolm.records import kinds
from kolm.records.codec import to_document
from kolm.records.spec import EvaluationChoice, Spec, Train
from kolm.roles import Family, family
from kolm.spec.options import resolve_method, resolve_objective, resolve_quantisation
from kolm.spec.rates import Advice, advise

if TYPE_CHECKING:
    from kolm.records.documents import Lock, LockBase, LockEnvironment, LockTrainContinues, Snapshot


MANY_EXAMPLES = 10**6  # where nobody knows how many: enough for every setting
WARMUP_SHARE = Decimal("0.03")  # enough for Adam's second moments, too little to waste


class Asked(NamedTuple):
    """What a lock takes from the request that it answers: the file's digest, and the nonce."""

    digest: Digest
    nonce: str


def resolve(
    spec: Spec,
    *,
    base: LockBase,
    snapshot: Snapshot,
    training: Digest,
    cases: Digest,
    environment: LockEnvironment,
    continued: LockTrainContinues | None = None,
    asked: Asked | None = None,
    train_examples: int | None = None,
) -> Lock:
    """Resolve a spec to its lock.

    Args:
        spec: what the user wants.
        base: the lock's ``base`` object: the base's identity as measured.
        snapshot: the header of the snapshot (snapshot.json).
        training: root of the lines that training learns from (`training_root`).
        cases: digest of evalcases.jsonl.
        environment: the lock's ``environment`` without ``class``; the spec's threads override.
        continued: state and chain of the training that this one goes on from.
        asked: of the request that is answered; its nonce takes the place of the spec's.
        train_examples: captures that training will use; default: the snapshot's train side.

    Raises:
        Refused: ``E_SPEC_CONFLICT`` when the settings do not fit the data or each other, or
            ``E_ROLES_UNKNOWN_TARGET`` for a target that the family does not have.
    """
    sides = snapshot["splits"]
    examples = sides["train"]["captures"] if train_examples is None else train_examples
    if examples == 0 or sides["eval"]["captures"] == 0:
        _conflict("the snapshot has no captures to train on, or none to score", "data.split")
    if environment["device"] == "mps" and spec.train.processes > 1:
        _conflict("torch connects no processes that compute on Metal", "train.processes")
    if environment["device"] == "mps" and OPTIMIZERS[spec.train.optimizer] == "bitsandbytes":
        _conflict("bitsandbytes keeps no moments in 8 bits on Metal", "train.optimizer")
    every, key = looks_of(spec.train)
    if every is not None and sides["validation"]["captures"] == 0:
        hint = "hold some out (data.validation: 0.05), or do not validate"
        _conflict("no captures are held out to validate on", key, hint)
    document = to_document(spec)
    advice = advice_on(spec.train, base["id"], base["family"])
    lock: dict[str, object] = {
        "schema": "urn:kolm:lock:v1",
        "name": spec.name,
        "base": base,
        "data": {
            "snapshot": digest.of_value(snapshot),
            "root": snapshot["root"],
            "training": training,
            "cases": cases,
        },
        "train": {
            **train_block(
                spec.train,
                advice,
                spec.evaluation,
                examples=examples,
                family_name=base["family"],
            ),
            "continues": continued,
        },
        "rates": {
            "source": "recommended" if spec.train.learning_rate is None else "spec",
            "recommended": canonical.decimal(advice.adapter.rate, None),
            "reason": advice.reason,
        },
        "evaluation": {
            **_evaluation(
                {
                    **document["evaluation"],
                    "floors": dataclasses.asdict(spec.evaluation.floors),
                },
                family(base["family"]),
            ),
            "cost": document["cost"],
        },
        "publish": document["publish"],
        "request": None if asked is None else asked.digest,
        "nonce": spec.nonce if asked is None else asked.nonce,
        "environment": _environment(environment, threads=spec.train.threads),
    }
    if spec.dossier:
        lock["dossier"] = spec.dossier
    lock["seeds"] = derive_seeds(cast("Lock", lock))
    return schema.check(kinds.LOCK, lock, where=LOCK)


def steps_of(train: Train, advice: Advice, *, examples: int) -> int:
    """Optimiser steps: as written, or so many that `epochs` passes are made, rounded up.

    Where a spec states neither: one pass, and at least what the base needs.
    """
    if train.steps is not None:
        return train.steps
    passes = Decimal(train.epochs or "1") * examples
    steps = int((passes / (train.batch_size * train.accumulation)).to_integral_value(ROUND_CEILING))
    return max(1 if train.epochs else advice.steps, steps)


def advice_on(train: Train, base: str, family_name: str) -> Advice:
    """What is recommended for what a spec wants to do with a base."""
    return advise(
        base,
        family(family_name),
        method=str(train.method.get("kind", methods.DEFAULT)),
        objective=str(train.objective.get("kind", objectives.DEFAULT)),
    )


def train_block(
    train: Train,
    advice: Advice,
    evaluation: EvaluationChoice,
    *,
    examples: int,
    family_name: str,
) -> dict[str, object]:
    """The lock's ``train``, but for what it goes on from.

    Args:
        train: of the spec.
        advice: the learning rates for it.
        evaluation: of the spec: how answers are judged while the run goes on.
        examples: captures that training will use.
        family_name: of the base.

    Raises:
        Refused: as `resolve`.
    """
    steps = steps_of(train, advice, examples=examples)
    warmup = int(steps * WARMUP_SHARE) if train.warmup_steps is None else train.warmup_steps
    freeze, (every, key) = train.freeze, looks_of(train)
    table = family(family_name)
    sees = table.takes_pictures
    if not sees:
        _demand_text_alone(train)
    projector = (train.projector or "full") if sees else None
    if warmup >= steps:
        _conflict(f"warm-up takes all of the {counted(steps, 'step')}", "train.warmup_steps")
    if every is not None and every > steps:
        _conflict(f"there are only {counted(steps, 'step')}", key)
    if train.accumulation % train.processes:
        shared = f"accumulation is {train.accumulation}, and processes share the batches of a step"
        _conflict(f"{shared} evenly", "train.processes")
    if table.beside and train.processes > 1:
        why = "rows without pictures skip blocks that processes put together for those with some"
        _conflict(f"{why}: they would wait for one another for ever", "train.processes")
    if freeze.projector_after_steps is not None and freeze.projector_after_steps >= steps:
        _conflict(f"there are only {counted(steps, 'step')}", "train.freeze.projector_after_steps")
    objective = resolve_objective(train.objective)
    return {
        "objective": objective,
        "method": resolve_method(
            train.method, table, vision=not train.freeze.vision, projector=projector
        ),
        "freeze": {
            "vision": freeze.vision if sees else None,
            "projector_after_steps": freeze.projector_after_steps,
        },
        "projector": projector,
        "learning_rate": train.learning_rate or canonical.decimal(advice.adapter.rate, None),
        "projector_learning_rate": _projector_learning_rate(train, advice, projector),
        "optimizer": train.optimizer,
        "schedule": train.schedule,
        "warmup_steps": warmup,
        "weight_decay": train.weight_decay,
        "max_grad_norm": train.max_grad_norm,
        "steps": steps,
        "batch_size": train.batch_size,
        "accumulation": train.accumulation,
        "max_seq_length": train.max_seq_length,
        "max_images": train.max_images,
        "shrink_images": train.shrink_images,
        "segments": min(train.segments, steps),
        "validation": _validation(train, evaluation),
        "early_stopping": _early_stopping(train),
        "precision": train.precision,
        "attention": train.attention,
        "quantisation": _quantisation(train, table),
    }


def looks_of(train: Train) -> tuple[int | None, str]:
    """After how many steps a run looks at the validation side, and the key that says so."""
    if train.validate_every is None and train.early_stopping is not None:
        return train.early_stopping.every_steps, "train.early_stopping.every_steps"
    return train.validate_every, "train.validate_every"


def _validation(train: Train, evaluation: EvaluationChoice) -> dict[str, object] | None:
    every, _ = looks_of(train)
    if every is None:
        return None
    answers = None
    if train.validate_cases is not None:
        # In the training's own block: weights rest on it where it says when to stop.
        answers = {
            "cases": train.validate_cases,
            "max_new_tokens": evaluation.max_new_tokens,
            "metric": dict(evaluation.metric),
        }
    return {"every_steps": every, "answers": answers}


def _early_stopping(train: Train) -> dict[str, object] | None:
    stopping = train.early_stopping
    return None if stopping is None else {"patience": stopping.patience, "on": stopping.on}


def _quantisation(train: Train, table: Family) -> dict[str, object] | None:
    chosen = train.quantisation
    return None if chosen is None else to_document(resolve_quantisation(chosen, table))


def _demand_text_alone(train: Train) -> None:
    """Refuse settings of a vision tower or a projector for a family that has neither."""
    for key, asked in (
        ("train.projector", train.projector is not None),
        ("train.projector_learning_rate", train.projector_learning_rate is not None),
        ("train.freeze.projector_after_steps", train.freeze.projector_after_steps is not None),
        ("train.freeze.vision", not train.freeze.vision),
        ("train.shrink_images", train.shrink_images),
    ):
        if asked:
            raise Refused(
                "E_SPEC_CONFLICT",
                "the base reads text alone: it has no vision tower and no projector",
                where=key,
                hint=f"leave {key} out",
            )


def _evaluation(evaluation: Mapping[str, Any], table: Family) -> dict[str, Any]:
    """How answers are scored; where the base takes no pictures there is no blind run to exceed."""
    if table.takes_pictures:
        return dict(evaluation)
    return {**evaluation, "floors": {**evaluation["floors"], "above_blind": None}}


def _projector_learning_rate(train: Train, advice: Advice, projector: Projector) -> str:
    if projector in ("frozen", None):
        return "0"
    if train.projector_learning_rate is not None:
        return train.projector_learning_rate
    rate = advice.adapter.rate if train.learning_rate is None else Decimal(train.learning_rate)
    return canonical.decimal(advice.projector_beside(rate), None)


def _environment(facts: LockEnvironment, *, threads: int | None) -> dict[str, object]:
    rest = {key: value for key, value in facts.items() if key != "class"}
    if threads is not None:
        rest["threads"] = threads
    return {**rest, "class": digest.of_value(rest)}


def _conflict(message: str, where: str, hint: str = "kolm help reference/spec") -> NoReturn:
    raise Refused("E_SPEC_CONFLICT", message, where=where, hint=hint)
