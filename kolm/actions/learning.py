"""The compositions: prechecks of what the objective learns from, and how fast."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from kolm import canonical
from kolm.actions.findings import Found, ok, warning
from kolm.models.resolve import recommended_rates
from kolm.objectives import DEFAULT, OBJECTIVES, objective_of

if TYPE_CHECKING:
    from kolm.actions.ahead import Ahead

_FAR = 4  # times above or below what the base was measured with
_LONGER = 1.5  # one kind of answers is that many times as long as the other


def rates(ahead: Ahead) -> Iterator[Found]:
    """Learning rates far from what works for the base, scaled to the objective's own.

    What was measured is supervised; other objectives want as much less as their default is below
    that of supervised fine-tuning.
    """
    train, base = ahead.lock["train"], ahead.prepared.base
    objective = objective_of(train["objective"])
    share = Decimal(objective.LEARNING_RATE) / Decimal(OBJECTIVES[DEFAULT].LEARNING_RATE)
    low, high = (canonical.decimal(rate * share, None) for rate in recommended_rates(base))
    source = "" if share == 1 else f" with {objective.kind} ({objective.SOURCE})"
    for name in ("learning_rate", "projector_learning_rate"):
        rate = canonical.parse_decimal(train[name], where=f"train.{name}")
        if rate and not Decimal(low) / _FAR <= rate <= Decimal(high) * _FAR:
            yield warning(  # a frozen projector's is 0
                "settings",
                f"train.{name} {canonical.decimal(rate, None)} is far from what works for "
                f"{base.id}{source}: {low} to {high}",
            )


def pairs(ahead: Ahead) -> Iterator[Found]:
    """How long the chosen and the rejected answers are: a difference is learned as well."""
    train = ahead.sides.get("train")
    if train is None or not any(train.answer_tokens):
        return
    chosen, rejected = (total / len(train.examples) for total in train.answer_tokens)
    message = f"chosen answers have {chosen:.1f} tokens and rejected ones {rejected:.1f} on average"
    if max(chosen, rejected) > _LONGER * min(chosen, rejected):
        longer = "long" if chosen > rejected else "short"
        yield warning(
            "train side", f"{message}: that {longer} answers are better will be learned too"
        )
    else:
        yield ok("train side", message)
