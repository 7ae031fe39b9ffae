"""Formulas against the equations of the papers, computed without kolm.

tests/vectors/objectives/record.py says how the vectors are made.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kolm.encode.likelihoods import answer
from kolm.objectives import OBJECTIVES, Sides, Terms, objective_of
from kolm.objectives.dpo import Dpo
from kolm.spec.options import resolve_objective

torch = pytest.importorskip("torch")
FOLDER = Path(__file__).parents[2] / "vectors" / "objectives"
PAIRED = [kind for kind, known in OBJECTIVES.items() if known.PAIRED]
FEWEST = 50
Row = dict[str, Any]


def rows(kind: str) -> list[Row]:
    lines = (FOLDER / f"{kind}.jsonl").read_text(encoding="utf-8").split("\n")
    found: list[Row] = [json.loads(line) for line in lines if line]
    assert len(found) >= FEWEST
    return found


def tokens(row: Row, side: str, model: str) -> Any:
    return torch.tensor([float(value) for value in row[side][model]], dtype=torch.float64)


def terms(kind: str, row: Row) -> Terms:
    """As in training, from the log-probabilities of tokens on."""
    objective = objective_of(resolve_objective({"kind": kind, **row["settings"]}))
    policy, reference = (
        Sides(*(
            answer(objective, tokens(row, side, model), [bool(m) for m in row[side]["corrected"]])
            for side in ("chosen", "rejected")
        ))
        for model in ("policy", "reference")
    )  # fmt: skip
    return objective.terms(policy, reference, float(row.get("unrelated", 0)))


@pytest.mark.parametrize("kind", PAIRED)
def test_losses_and_rewards_are_those_of_the_paper(kind: str) -> None:
    for number, row in enumerate(rows(kind)):
        found = terms(kind, row)
        told = {"loss": found.losses, "chosen_reward": found.rewards.chosen,
                "rejected_reward": found.rewards.rejected}  # fmt: skip
        for name, value in told.items():
            stated = float(row[name])
            assert float(value) == pytest.approx(stated, rel=1e-6, abs=1e-6), (number, name)


@pytest.mark.parametrize("kind", PAIRED)
def test_the_first_vector_has_the_default_settings(kind: str) -> None:
    first, *others = rows(kind)
    block = resolve_objective({"kind": kind})
    assert first["settings"].items() <= block.items()
    assert block.keys() - first["settings"] <= {"kind", "match_tokens", "reference"}
    assert any(row["settings"] != first["settings"] for row in others)


def test_ddpo_with_a_weight_of_one_is_dpo_over_mean_log_probabilities() -> None:
    ddpo = objective_of(resolve_objective({"kind": "ddpo", "gamma": "1", "beta": "0.7"}))
    dpo = objective_of(resolve_objective({"kind": "dpo", "beta": "0.7"}))
    assert isinstance(dpo, Dpo)
    for row in rows("ddpo"):
        policy, reference = (
            Sides(*(tokens(row, side, model).mean() for side in ("chosen", "rejected")))
            for model in ("policy", "reference")
        )
        settings = {**row["settings"], "gamma": "1", "beta": "0.7"}
        dense, plain = terms("ddpo", {**row, "settings": settings}), dpo.terms(policy, reference)
        assert float(dense.losses) == pytest.approx(float(plain.losses), rel=1e-12)
        assert float(dense.rewards.chosen) == pytest.approx(float(plain.rewards.chosen), abs=1e-12)
    assert ddpo.MEAN
    assert not dpo.MEAN


def test_ddpo_with_a_larger_weight_is_another_number() -> None:
    """Else the test above would say nothing."""
    row = next(row for row in rows("ddpo") if 0 < sum(row["chosen"]["corrected"]) < 5)
    one, five = (
        terms("ddpo", {**row, "settings": {"beta": "0.7", "gamma": gamma}}) for gamma in "15"
    )
    assert abs(float(one.losses) - float(five.losses)) > 1e-6
