"""Forgeries of bundles that learned from preferences: pairs, facts of steps, likelihoods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kolm import canonical
from tests.support.bundles import BundleParts, Row

PAIRS: Final = "dpo"  # the bundle that they start from


def _step(parts: BundleParts, number: int) -> Row:
    return [item for item in parts.trace if item["kind"] == "step"][number]


def facts(number: int, **changed: Any) -> Callable[[BundleParts], None]:
    """A step states other facts."""

    def forge(parts: BundleParts) -> None:
        row = _step(parts, number)
        row["facts"] = {**row["facts"], **changed}

    return forge


def no_facts(parts: BundleParts) -> None:
    del _step(parts, 1)["facts"]


def low_loss(parts: BundleParts) -> None:
    """Below what DPO's formula gives at the mean margin."""
    _step(parts, 0)["loss"] = "0.001"


def high_loss(parts: BundleParts) -> None:
    """A fall that looks larger, from where nothing can begin."""
    _step(parts, 0)["loss"] = "7.5"


def alone(parts: BundleParts) -> None:
    """Steps of one pair, and a loss that this pair does not have."""
    parts.lock["train"]["batch_size"] = 1
    parts.follow()
    _step(parts, 2)["loss"] = "7.5"


def invented_step(parts: BundleParts) -> None:
    """All numbers of a step as a better training would have had them."""
    row = _step(parts, -1)
    row["loss"] = "0.002476"
    row["facts"] = {
        "chosen_reward": "3",
        "margin": "6",
        "preferred": len(row["positions"]),
        "rejected_reward": "-3",
    }


def receipt(parts: BundleParts) -> None:
    """The receipt sums up better pairs than the trace has."""
    document = canonical.loads(parts.receipt(), where="receipt.json")
    document["vlm_train"]["objective"]["last_segment"]["margin"] = "99"
    parts.overrides["receipt.json"] = canonical.dumps(document)


def pair_under_sft(parts: BundleParts) -> None:
    """An example claims two answers where one was learned."""
    parts.examples[0]["rejected"] = {"labels": 2, "tokens": parts.examples[0]["tokens"]}


def one_answer(parts: BundleParts) -> None:
    del parts.examples[0]["rejected"]


def two_prompts(parts: BundleParts) -> None:
    parts.examples[0]["rejected"]["tokens"] += 1


def _measured(parts: BundleParts) -> Row:
    return next(item for item in parts.predictions if "preference" in item)


def accuracy(parts: BundleParts) -> None:
    parts.evaluation["preference"]["base"]["accuracy"] = "0"


def margin(parts: BundleParts) -> None:
    parts.evaluation["preference"]["margin"] = "99"


def likelihood(parts: BundleParts) -> None:
    _measured(parts)["preference"]["adapter"]["rejected"] = "-99"


def unmeasured(parts: BundleParts) -> None:
    del _measured(parts)["preference"]
    parts.rescore()


def measured_without_pair(parts: BundleParts) -> None:
    row = next(item for item in parts.predictions if "preference" not in item)
    row["preference"] = {run: {"chosen": "-1", "rejected": "-2"} for run in ("adapter", "base")}
    parts.rescore()


def invented_likelihoods(parts: BundleParts) -> None:
    """Every case as if the adapter were sure, and everything computed again."""
    for row in parts.predictions:
        if "preference" in row:
            row["preference"]["adapter"] = {"chosen": "-0.01", "rejected": "-40"}
    parts.rescore()
