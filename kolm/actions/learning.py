"""The compositions: prechecks of what the objective learns from, and how fast."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kolm import canonical, methods, roles
from kolm.actions.findings import Found, ok, warning
from kolm.objectives import DEFAULT, objective_of
from kolm.spec.rates import advise

if TYPE_CHECKING:
    from kolm.actions.ahead import Ahead
    from kolm.records.documents import LockTrain

_LONGER = 1.5  # one kind of answers is that many times as long as the other


def rates(ahead: Ahead) -> Iterator[Found]:
    """Learning rates far from what works for base, method and objective (`kolm.spec.rates`)."""
    base = ahead.prepared.base
    yield from far_rates(ahead.lock["train"], base.id, base.family)


def far_rates(train: LockTrain, base: str, family: str) -> Iterator[Found]:
    """The same of a lock's ``train``, for a base of which only this is known.

    A projector's rate that only follows the adapter's is no finding: nobody stated it.
    """
    method, objective = train["method"]["kind"], objective_of(train["objective"])
    advice = advise(base, roles.family(family), method=method, objective=objective.kind)
    source = "" if objective.kind == DEFAULT else f" with {objective.kind} ({objective.SOURCE})"
    adapter = canonical.parse_decimal(train["learning_rate"], where="train.learning_rate")
    followed = canonical.decimal(advice.projector_beside(adapter), None)
    by_method = "" if method == methods.DEFAULT else f" with {method}"
    for name, stated, rates_, whose in (
        ("learning_rate", train["learning_rate"], advice.adapter, f"{base}{by_method}{source}"),
        (
            "projector_learning_rate",
            train["projector_learning_rate"],
            advice.projector,
            f"{base}{source}",
        ),
    ):
        rate = canonical.parse_decimal(stated, where=f"train.{name}")
        if name != "learning_rate" and stated == followed:
            continue
        if rate and rates_.is_far(rate):  # a frozen projector's is 0
            low, high = (canonical.decimal(one, None) for one in (rates_.least, rates_.largest))
            yield warning(
                "settings",
                f"train.{name} {canonical.decimal(rate, None)} is far from what works for {whose}: "
                f"{low} to {high}",
            )


def pairs(ahead: Ahead) -> Iterator[Found]:
    """How long the chosen and the rejected answers are: a difference is learned as well."""
    train = ahead.sides.get("train")
    if train is None or not any(train.lengths.other_labels):
        return
    answers = (train.lengths.labels, train.lengths.other_labels)
    chosen, rejected = (sum(tokens) / len(train.examples) for tokens in answers)
    message = f"chosen answers have {chosen:.1f} tokens and rejected ones {rejected:.1f} on average"
    if max(chosen, rejected) > _LONGER * min(chosen, rejected):
        longer = "long" if chosen > rejected else "short"
        yield warning(
            "train side", f"{message}: that {longer} answers are better will be learned too"
        )
    else:
        yield ok("train side", message)
