"""Metrics against the scorers that others published, on answers recorded from them.

tests/vectors/metrics/record.py says which, and how the vectors are made.
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from kolm.errors import Refused
from kolm.metrics.choice import Choice
from kolm.metrics.cider_d import CiderD
from kolm.metrics.contains import Contains
from kolm.metrics.iou import Iou, overlap, read_box
from kolm.metrics.json_f1 import JsonF1
from kolm.metrics.metric import Metric
from kolm.metrics.patterns import compiled
from kolm.metrics.pope import Pope
from kolm.metrics.relaxed import Relaxed
from kolm.metrics.rouge_l import RougeL
from kolm.metrics.vqa import Vqa, normalise_vqa

FOLDER = Path(__file__).parents[2] / "vectors" / "metrics"
FEWEST = 1000


def rows(kind: str) -> list[dict[str, Any]]:
    lines = (FOLDER / f"{kind}.jsonl").read_text(encoding="utf-8").split("\n")
    found: list[dict[str, Any]] = [json.loads(line) for line in lines if line]
    assert len(found) >= FEWEST
    return found


def close(value: Fraction | float, stated: str) -> bool:
    return float(value) == pytest.approx(float(stated), rel=1e-12, abs=1e-12)


def agree(metric: Metric, row: dict[str, Any]) -> bool:
    return close(metric.score(row["output"], tuple(row["references"])).value, row["score"])


@pytest.mark.parametrize(
    ("kind", "metric"),
    [("contains", Contains()), ("json_f1", JsonF1()), ("pope", Pope()), ("rouge_l", RougeL())],
)
def test_scores_are_those_of_the_published_scorer(kind: str, metric: Metric) -> None:
    wrong = [row for row in rows(kind) if "output" in row and not agree(metric, row)]
    assert wrong == []


@pytest.mark.parametrize(("kind", "metric"), [("json_f1", JsonF1()), ("pope", Pope())])
def test_figures_are_those_of_the_published_scorer(kind: str, metric: JsonF1 | Pope) -> None:
    *answered, told = rows(kind)
    found = metric.figures((row["output"], tuple(row["references"])) for row in answered)
    for name, stated in told["figures"].items():
        assert close(Fraction(*found[name]), stated), name


def test_vqa_accuracy_and_its_normalising_are_those_of_the_published_scorer() -> None:
    for row in rows("vqa"):
        assert normalise_vqa(row["output"]) == row["normalised"]
        if row["output"].strip():
            assert agree(Vqa(), row), row
        else:  # where the scorer would count a blank answer as an article that people gave
            assert not Vqa().score(row["output"], tuple(row["references"])).parsed


def test_cider_d_is_that_of_the_published_scorer() -> None:
    packs: dict[int, list[dict[str, Any]]] = {}
    for row in rows("cider_d"):
        packs.setdefault(row["pack"], []).append(row)
    for pack in packs.values():
        metric = CiderD().over([tuple(row["references"]) for row in pack])
        for row in pack:
            score = metric.score(row["output"], tuple(row["references"])).value
            assert 10 * float(score) == pytest.approx(float(row["score"]), abs=1e-9), row


def test_boxes_overlap_and_are_right_as_cocos() -> None:
    for row in rows("iou"):
        one, other = read_box(row["output"]), read_box(row["references"][0])
        assert one is not None
        assert other is not None
        assert close(overlap(one, other), row["iou"])
        assert agree(Iou(Fraction(row["options"]["threshold"])), row), row


def test_readings_are_right_as_chartqas() -> None:
    for row in rows("relaxed"):
        assert agree(Relaxed(Fraction(row["options"]["tolerance"])), row), row


def test_choices_are_those_of_the_published_scorer() -> None:
    for row in rows("choice"):
        assert Choice(tuple(row["options"]["choices"])).pick(row["output"]) == row["picked"], row


def test_patterns_match_where_re2s_do() -> None:
    held = 0
    for row in rows("regex"):
        try:
            program = compiled(row["pattern"])
        except Refused:
            continue  # kolm's patterns are a part of its
        found = program.find(row["text"])
        assert (None if found is None else list(found)) == row["span"], row
        held += 1
    assert held >= FEWEST
