"""Train: the loop. This is the page to read first: a run from its first step to its last.

    state 0 ──► step, step, … ──► checkpoint ──► step, … ──► checkpoint ──► … ──► last state

Every boundary writes the whole state and adds its digest to the chain; between two boundaries the
state is written every few minutes as well, to resume from and for nothing else. A run that was
killed continues from its last complete checkpoint and ends with the same bits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from kolm.encode.examples import Learnable
from kolm.events import Reporter
from kolm.format.schedule import Happening
from kolm.format.stopping import Patience
from kolm.train.answering import Answering
from kolm.train.checkpoints import Checkpoint, CheckpointFolder
from kolm.train.plan import TrainPlan
from kolm.train.processes import ALONE, Processes
from kolm.train.trace import Trace
from kolm.train.trackers import Tracked
from kolm.train.trainer import StepFacts, Trainer

if TYPE_CHECKING:
    from kolm.records.documents import TraceRowValidation

# A kill loses no more work than this, however long a segment takes.
INTERIM_SECONDS = 300.0
# Speed is a moving average, so that the first, slow steps are soon forgotten.
_SPEED_MEMORY = 0.9


class Took(NamedTuple):
    """What a run took in this process: its seconds, and the real tokens that it trained on, from
    the step after which it went on; 0 for all of it."""

    seconds: float
    tokens: int
    from_step: int


def run(
    trainer: Trainer,
    plan: TrainPlan,
    trace: Trace,
    checkpoints: CheckpointFolder,
    validation: Sequence[Learnable],
    reporter: Reporter,
    *,
    answering: Answering | None = None,
    tracked: Tracked | None = None,
    processes: Processes = ALONE,
    clock: Callable[[], float] = time.monotonic,
) -> Took:
    """Train until the plan's last step or until the validation side no longer gets better.

    Args:
        trainer: at its initial weights.
        plan: of the lock.
        trace: of this run; an earlier part of this run is continued.
        checkpoints: of this run.
        validation: the validation split; read only when the plan looks at it.
        reporter: hears step, loss, tokens a second and the seconds left.
        answering: answers some of the validation split at each look.
        tracked: takes what each step and each validation gave.
        processes: that train together; what is written, the first one writes.
        clock: seconds; says when a state between two boundaries is due, and nothing else.
    """
    patience = plan.schedule.new_patience()
    done = processes.first_says(lambda: resume(trainer, trace, checkpoints, patience))
    if done is not None and not processes.first:
        _restore(trainer, checkpoints.load(done)[0], patience)
    if tracked:
        tracked.begin(done or 0)
    meter = _Meter(plan.schedule.steps, done or 0, reporter, tracked)
    due = clock() + INTERIM_SECONDS
    for happening, step in plan.schedule.happenings(patience, after=done):
        if happening is Happening.STEP:
            if clock() >= due:
                checkpoints.save_interim(state_of(trainer, patience))
                due = clock() + INTERIM_SECONDS
            facts = trainer.run_step()
            trace.step(facts)
            meter.tell(facts)
        elif happening is Happening.VALIDATION:
            answers = trainer.answer(answering) if answering else None
            row = trace.validation(step, trainer.validate(validation), answers)
            meter.look(row)
            told = plan.schedule.decisive(row)
            if patience and told is not None:
                patience.tell(told)
        else:
            agreed = partial(processes.demand_one_state, step=step)
            trace.checkpoint(step, checkpoints.save(state_of(trainer, patience), agreed=agreed))
            due = clock() + INTERIM_SECONDS
    checkpoints.remove_interim()
    return meter.finish(trainer.step)


def resume(
    trainer: Trainer, trace: Trace, checkpoints: CheckpointFolder, patience: Patience | None
) -> int | None:
    """Put a trainer where the last complete checkpoint left off.

    Returns:
        The step of that checkpoint, or None when there is none and the run begins anew.
    """
    for step in reversed(checkpoints.complete_steps()):
        checkpoint, state = checkpoints.load(step)
        if not trace.rewind(step):
            continue
        _restore(trainer, checkpoint, patience)
        checkpoints.remove_after(step)
        if not checkpoints.is_interim(step):
            trace.checkpoint(step, state)
        return step
    checkpoints.remove_after(-1)
    trace.clear()
    return None


def _restore(trainer: Trainer, checkpoint: Checkpoint, patience: Patience | None) -> None:
    trainer.restore(
        checkpoint.step, checkpoint.tensors, checkpoint.updates, checkpoint.gradient_steps
    )
    if patience and checkpoint.patience:
        patience.restore(checkpoint.patience)


def state_of(trainer: Trainer, patience: Patience | None) -> Checkpoint:
    """The whole state in which a run is."""
    return Checkpoint(
        step=trainer.step,
        tensors=trainer.tensors(),
        updates=trainer.updates(),
        gradient_steps=trainer.gradients.counts(),
        patience=patience.to_document() if patience else None,
    )


class _Meter:
    """Measures speed and tells it."""

    def __init__(
        self, steps: int, from_step: int, reporter: Reporter, tracked: Tracked | None
    ) -> None:
        self._tracked = tracked
        self._from_step = from_step
        self._steps = steps
        self._reporter = reporter
        self._began = self._last = time.perf_counter()
        self._seconds_a_step = 0.0
        self._tokens = 0
        reporter.started("train", steps, "steps", from_step)

    def tell(self, facts: StepFacts) -> None:
        """Report a finished step."""
        now = time.perf_counter()
        took, self._last = now - self._last, now
        smooth = self._seconds_a_step or took
        self._seconds_a_step = _SPEED_MEMORY * smooth + (1 - _SPEED_MEMORY) * took
        self._tokens += facts.real_tokens
        speed = facts.real_tokens / max(self._seconds_a_step, 1e-9)
        if self._tracked:
            self._tracked.log(
                facts.step,
                loss=facts.loss,
                grad_norm=facts.grad_norm,
                learning_rate=float(facts.learning_rate),
                projector_learning_rate=float(facts.projector_learning_rate or 0),
                tokens_per_second=speed,
            )
        self._reporter.advanced(
            "train",
            facts.step,
            loss=facts.loss,
            tokens_per_second=speed,
            seconds_left=(self._steps - facts.step) * self._seconds_a_step,
        )

    def look(self, row: TraceRowValidation) -> None:
        """Report a look at the validation side."""
        told = {"validation_loss": float(row["loss"])}
        if "answers" in row:
            told["validation_score"] = float(row["answers"]["score"])
        words = ", ".join(f"{name.replace('_', ' ')} {value:.6g}" for name, value in told.items())
        self._reporter.noted(f"step {row['step']}: {words}")
        if self._tracked:
            self._tracked.log(row["step"], **told)

    def finish(self, steps: int) -> Took:
        """Close the stage."""
        self._reporter.finished("train", steps=steps)
        return Took(time.perf_counter() - self._began, self._tokens, self._from_step)
