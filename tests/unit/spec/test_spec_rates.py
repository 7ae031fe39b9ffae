"""Recommended learning rates: every line of the tables has one, and its reasons."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from kolm.actions.learning import far_rates
from kolm.methods import METHODS
from kolm.objectives import DEFAULT, OBJECTIVES
from kolm.roles import FAMILIES, family
from kolm.spec import rates
from kolm.spec.rates import Rates, advise

NANO = family("qwen2_5_vl")


@pytest.mark.parametrize("kind", sorted(METHODS))
def test_every_method_has_a_line_with_a_reason(kind: str) -> None:
    line = rates.METHODS[kind]
    assert line.times > 0
    assert bool(line.reason) == (line.times != 1)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_family_recommends_a_rate_within_its_own(name: str) -> None:
    table = family(name)
    advice = advise("owner/model", table, method="lora", objective="sft")
    least, largest = table.learning_rates
    assert (advice.adapter.least, advice.adapter.largest) == (least, largest)
    assert least <= advice.adapter.rate <= largest
    assert advice.reason == f"usual for {name}"


def test_a_base_that_was_measured_goes_before_its_family() -> None:
    measured = advise("kolm/nano-1", NANO, method="lora", objective="sft")
    assert measured.adapter.rate == Decimal("0.002")
    assert "measured on kolm/nano-1" in measured.reason


def test_only_a_base_that_was_measured_asks_for_steps() -> None:
    measured = advise("kolm/nano-1", NANO, method="prefix", objective="dpo")
    other = advise("owner/model", NANO, method="lora", objective="sft")
    assert measured.steps == rates.BASES["kolm/nano-1"].steps > other.steps == 1


@pytest.mark.parametrize("base", ["kolm/nano-1", "owner/model"])
def test_method_and_objective_multiply_and_say_why(base: str) -> None:
    plain = advise(base, NANO, method="lora", objective="sft")
    measured = rates.BASES.get(base)
    for method, factor in rates.METHODS.items():
        for objective, other in OBJECTIVES.items():
            advice = advise(base, NANO, method=method, objective=objective)
            own = plain.adapter.rate
            if measured is not None and (method, objective) != ("lora", DEFAULT):
                own = measured.others.rate
            share = Decimal(other.LEARNING_RATE) / Decimal(OBJECTIVES[DEFAULT].LEARNING_RATE)
            if measured is not None and other.PAIRED:
                share = measured.pairs
            assert advice.adapter.rate == own * factor.times * share
            assert advice.projector.rate == own * share
            assert factor.reason in advice.reason
            assert (other.SOURCE in advice.reason) == (share != 1)


def test_far_is_four_times_outside() -> None:
    some = Rates(Decimal("0.001"), Decimal("0.001"), Decimal("0.002"))
    assert [some.is_far(Decimal(rate)) for rate in ("0.00025", "0.008")] == [False, False]
    assert [some.is_far(Decimal(rate)) for rate in ("0.00024", "0.0081")] == [True, True]


@pytest.mark.parametrize(
    ("adapter", "projector", "named"),
    [
        ("0.01", "0.0001666666666666666666666666666", []),  # follows the adapter's
        ("0.01", "0.0001", ["train.projector_learning_rate"]),
        ("0.002", "0.00003333333333333333333333333333", ["train.learning_rate"]),
    ],
)
def test_only_a_rate_that_somebody_stated_is_far(
    adapter: str, projector: str, named: list[str]
) -> None:
    train: Any = {
        "method": {"kind": "ia3"},
        "objective": {"kind": DEFAULT},
        "learning_rate": adapter,
        "projector_learning_rate": projector,
    }
    found = far_rates(train, "kolm/nano-1", "qwen2_5_vl")
    assert [one.message.split()[0] for one in found] == named
