"""Format: the course of a training run as the lock fixes it: rates, boundaries, what comes when.

Rates are worked out in decimal arithmetic and rounded once, so that every machine comes to the
same string; training uses the number that the string states. Rules S6, S8 and S9 of
docs/format/trace.md.
"""

import decimal
from collections.abc import Iterator
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from kolm import canonical
from kolm.digest import Digest
from kolm.format.stopping import Patience

if TYPE_CHECKING:
    from kolm.records.documents import Lock, TraceRowValidation


RATE_PLACES: Final = 15  # eleven digits of a rate of 1e-4
_EXACT: Final = decimal.Context(prec=40)
_PI: Final = Decimal("3.141592653589793238462643383279502884197")
_NEGLIGIBLE: Final = Decimal("1e-30")


class Happening(Enum):
    """What a row of the trace tells; the values are those of its `kind`."""

    STEP = "step"
    VALIDATION = "validation"
    CHECKPOINT = "checkpoint"


class Schedule(NamedTuple):
    """What the lock says about the course of a run.

    Attributes:
        steps: the most that are run; early stopping may end the run before.
        segments: how many even parts the steps are cut into.
        batch_size: examples a batch.
        accumulation: batches a step.
        learning_rate: peak of the adapter's rate.
        projector_learning_rate: peak of the projector's.
        projector_steps: the last step in which the projector learns; 0 when it is frozen or there
            is none.
        shape: what the rate does after the warm-up: cosine, linear or constant.
        warmup_steps: steps in which the rate rises to its peak.
        patience: validations without a better value that end the run, or None.
        stops_on: what has to get better, where the run stops early: loss or metric.
        validate_every: steps between two validations, or None.
        answered: captures of the validation side that are answered at each, or None.
        order_seed: the seed of the data order.
        earlier_chain: of the training that this one goes on from, or None.
    """

    steps: int
    segments: int
    batch_size: int
    accumulation: int
    learning_rate: Decimal
    projector_learning_rate: Decimal
    projector_steps: int
    shape: str
    warmup_steps: int
    patience: int | None
    stops_on: Literal["loss", "metric"] | None
    validate_every: int | None
    answered: int | None
    order_seed: Digest
    earlier_chain: Digest | None

    def boundaries(self) -> tuple[int, ...]:
        """The steps after which a checkpoint is written: 0, even cuts, and the last step."""
        cuts = min(self.segments, self.steps)
        return tuple(number * self.steps // cuts for number in range(cuts + 1))

    def rate(self, step: int) -> str:
        """The adapter's learning rate at a 1-based step, as the trace states it."""
        return self._rate(self.learning_rate, step)

    def projector_rate(self, step: int) -> str | None:
        """The projector's learning rate at a 1-based step; None when it does not learn."""
        if step > self.projector_steps:
            return None
        return self._rate(self.projector_learning_rate, step)

    def new_patience(self) -> Patience | None:
        """Early stopping at the start of a run; None where it is off."""
        if not self.patience:
            return None
        return Patience(self.patience, rising=self.stops_on == "metric")

    def decisive(self, row: "TraceRowValidation") -> str | None:
        """What early stopping is told of a validation; None where the row does not have it."""
        if self.stops_on == "metric":
            return row["answers"]["score"] if "answers" in row else None
        return row["loss"]

    def happenings(
        self, patience: Patience | None, *, after: int | None = None
    ) -> Iterator[tuple[Happening, int]]:
        """What a run does, in order, each with its step; the trace has one row for each.

        Args:
            patience: told of every validation by the caller before it asks for what comes next.
            after: the step whose checkpoint the run continues from; None for a new run, which
                begins with the checkpoint of step 0.
        """
        boundaries = frozenset(self.boundaries())
        if after is None:
            yield Happening.CHECKPOINT, 0
        stopped = patience is not None and patience.exhausted
        step = after or 0
        while step < self.steps and not stopped:
            step += 1
            yield Happening.STEP, step
            if self.validate_every and step % self.validate_every == 0:
                yield Happening.VALIDATION, step
                stopped = patience is not None and patience.exhausted
            if step in boundaries or stopped:
                yield Happening.CHECKPOINT, step

    def _rate(self, peak: Decimal, step: int) -> str:
        share = _share(self.shape, self.warmup_steps, self.steps, step)
        return canonical.decimal(_EXACT.multiply(peak, share), RATE_PLACES)


def read_schedule(lock: "Lock") -> Schedule:
    """The schedule of a lock that fits its schema."""
    train = lock["train"]
    freeze, stopping, validation = train["freeze"], train["early_stopping"], train["validation"]
    answers = validation["answers"] if validation else None
    after, continued = freeze["projector_after_steps"], train["continues"]
    learning = train["steps"] if after is None else min(after, train["steps"])
    return Schedule(
        steps=train["steps"],
        segments=train["segments"],
        batch_size=train["batch_size"],
        accumulation=train["accumulation"],
        learning_rate=_number(train["learning_rate"], "learning_rate"),
        projector_learning_rate=_number(
            train["projector_learning_rate"], "projector_learning_rate"
        ),
        projector_steps=0 if train["projector"] in ("frozen", None) else learning,
        shape=train["schedule"],
        warmup_steps=train["warmup_steps"],
        patience=stopping["patience"] if stopping else None,
        stops_on=stopping["on"] if stopping else None,
        validate_every=validation["every_steps"] if validation else None,
        answered=answers["cases"] if answers else None,
        order_seed=Digest(lock["seeds"]["order"]),
        earlier_chain=Digest(continued["chain"]) if continued else None,
    )


def _number(text: str, key: str) -> Decimal:
    return canonical.parse_decimal(text, where=f"train.{key}")


@lru_cache(maxsize=1)  # a step asks twice: for the adapter's rate and for the projector's
def _share(shape: str, warmup_steps: int, steps: int, step: int) -> Decimal:
    """The share of the peak: a linear warm-up, then constant, linear or half a cosine to 0."""
    with decimal.localcontext(_EXACT):
        if step <= warmup_steps:
            return Decimal(step) / warmup_steps
        if shape == "constant":
            return Decimal(1)
        # The step after the last one would have share 0, so that the last still learns.
        done = Decimal(step - warmup_steps) / (steps - warmup_steps + 1)
        return 1 - done if shape == "linear" else (1 + _cosine(_PI * done)) / 2


def _cosine(angle: Decimal) -> Decimal:
    """Its Taylor series, for angles from 0 to pi, good to 25 places."""
    square, term, total, number = angle * angle, Decimal(1), Decimal(1), 0
    while abs(term) > _NEGLIGIBLE:
        number += 2
        term = -term * square / (number * (number - 1))
        total += term
    return total
