"""The table of a sweep, its figure and its files, from results that are made up."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm import canonical
from kolm.actions.loss_figure import Curve, draw
from kolm.actions.sweep_files import best_spec
from kolm.actions.sweep_results import PointResult, Scores, find_result, write_result
from kolm.actions.sweep_table import Ranked, as_csv, as_markdown, as_text, rank
from kolm.digest import EMPTY
from kolm.errors import Refused
from kolm.spec.grid import Point, points_of
from kolm.spec.load import load_spec
from kolm.spec.source import read_yaml

SPEC: dict[str, Any] = {
    "kolm": 1, "name": "x", "base": "kolm/nano-1", "data": {"captures": "captures"},
}  # fmt: skip


def made(number: int, right: int, *, of: int = 40, numbers: int = 100) -> PointResult:
    scores = tuple(1_000_000 if case < right else 0 for case in range(of))
    return PointResult(
        number=number,
        settings=(("train.method.rank", str(number)),),
        label=f"rank {number}",
        steps=8,
        trained_numbers=numbers,
        loss="1.5",
        curve=((4, "2"), (8, "1.5")),
        scores=Scores(scores, of),
        state=EMPTY,
    )


FAILED = PointResult(4, (("train.method.rank", "4"),), "rank 4", failure="E_TRAIN_NOT_FINITE")


def table(*results: PointResult) -> Ranked:
    ranked = rank(results)
    assert ranked is not None
    return ranked


def test_the_highest_score_is_the_best_and_every_other_is_held_against_it() -> None:
    ranked = table(made(1, 10), made(2, 30), made(3, 29), FAILED)
    assert ranked.best == 2
    # 20 cases that only the best gets right: two-sided sign test 2 / 2^20, six places
    assert [row.p for row in ranked.rows] == ["0.000002", "", "1", ""]
    assert [row.as_good for row in ranked.rows] == [False, True, True, False]
    assert "Not told apart from it at p < 0.05: point 3." in ranked.note()


def test_among_equals_the_smaller_adapter_is_taken_then_the_first() -> None:
    assert table(made(1, 9, numbers=200), made(2, 9), made(3, 9)).best == 2


def test_without_a_point_that_was_trained_there_is_no_table() -> None:
    assert rank([FAILED]) is None


def test_the_table_is_the_same_in_all_its_forms() -> None:
    ranked = table(made(1, 10), made(2, 30), FAILED._replace(number=3))
    rows = list(csv.DictReader(io.StringIO(as_csv(ranked))))
    assert [row["accuracy"] for row in rows] == ["0.25", "0.75", "E_TRAIN_NOT_FINITE"]
    assert rows[1]["p"] == "best"
    # Wilson's interval of 30 of 40: (63.841459 -+ 11.401778) / 87.682918
    assert (rows[1]["low"], rows[1]["high"]) == ("0.59806", "0.858129")
    markdown = as_markdown(ranked, "Sweep of x")
    assert "| **2** | 2 | 0.7500 | 0.5981 to 0.8581 | best |" in markdown
    assert ranked.note() in markdown
    text = as_text(ranked)
    assert text[2].startswith("*2 ")
    assert "E_TRAIN_NOT_FINITE" in text[3]


def test_a_kept_result_is_the_one_that_was_written_and_of_its_point_alone(tmp_path: Path) -> None:
    path = tmp_path / "results" / "0001.json"
    point = points_of(SPEC, {"train.method.rank": [1]})[0]
    result = made(1, 3, of=5)
    assert find_result(path, point, EMPTY, 5) is None
    write_result(path, result, EMPTY)
    assert find_result(path, point, EMPTY, 5) == result
    assert find_result(path, point, "sha256:" + "1" * 64, 5) is None  # of other data
    with pytest.raises(Refused) as caught:
        find_result(path, point, EMPTY, 6)
    assert caught.value.code == "E_SWEEP_RESULT"
    value = canonical.loads(path.read_bytes(), where="x")
    path.write_bytes(canonical.dumps({**value, "scores_millionths": [2_000_000] * 5}))
    with pytest.raises(Refused):
        find_result(path, point, EMPTY, 5)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(Refused):
        find_result(path, point, EMPTY, 5)


def test_the_best_spec_reads_back_as_its_point_and_says_how_it_was_chosen() -> None:
    grid = {
        "train.method": [{"kind": "lora", "rank": 2}, "ia3"],
        "train.early_stopping": [{"patience": 2, "every_steps": 5}, None],
        "evaluation.floors": [{"k": None, "worst_slice": Decimal("0.25")}],
    }
    for point in points_of(SPEC, grid):
        text = best_spec(point, table(*(made(n, n) for n in range(1, 5))))
        value = read_yaml(text.encode(), name="best").value
        assert load_spec(value) == load_spec(point.spec)
        assert text.startswith(f"# Chosen by kolm sweep: point {point.number} of 4")
        assert "eval side, which no point of the sweep has seen" in text


@given(
    captures=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40),
    rate=st.decimals("0.000000001", "1", places=9),
)
def test_any_path_and_fraction_survives_the_best_spec(captures: str, rate: Decimal) -> None:
    spec = {**SPEC, "data": {"captures": captures}, "train": {"learning_rate": rate}}
    point = Point(1, {"train.learning_rate": rate}, spec)
    value = read_yaml(best_spec(point, table(made(1, 1))).encode(), name="best").value
    assert load_spec(value) == load_spec(spec)


def test_the_figure_is_xml_with_a_line_and_a_name_for_each_run() -> None:
    curves = [
        Curve(f"rank {number} <&>", ((1, "3.5"), (50, f"0.{number}")), number == 3)
        for number in range(1, 6)
    ]
    text = draw(curves, "a & b")
    assert text == draw(curves, "a & b")
    root = ElementTree.fromstring(text)
    names = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{names}polyline")) == 5
    words = [str(element.text) for element in root.iter(f"{names}text")]
    assert words[0] == "a & b"
    assert "rank 3 <&>" in words
    thick = [line for line in root.findall(f"{names}polyline") if line.get("stroke-width") == "2.5"]
    assert len(thick) == 1
    assert root.findall(f"{names}polyline")[-1] is thick[0]  # over the others
    for line in root.findall(f"{names}polyline"):
        for place in str(line.get("points")).split():
            x, y = map(Decimal, place.split(","))
            assert 0 <= x <= 860
            assert 0 <= y <= 420


@given(
    losses=st.lists(st.decimals("-1000000", "1000000", places=6), min_size=1, max_size=20),
)
def test_any_losses_can_be_drawn(losses: list[Decimal]) -> None:
    points = tuple((step, f"{loss:f}") for step, loss in enumerate(losses, start=1))
    ElementTree.fromstring(draw([Curve("one", points, True)], "t"))


def test_many_runs_share_the_legend_and_the_rest_is_counted() -> None:
    curves = [Curve(f"run {n}", ((1, "1"), (2, "0.5")), n == 0) for n in range(30)]
    assert "and 16 more" in draw(curves, "t")
