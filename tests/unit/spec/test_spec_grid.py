"""Grids: what a command line states, and the points that follow."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kolm.errors import KolmError
from kolm.spec.grid import MOST_POINTS, full_key, points_of, read_grids

BASE: dict[str, Any] = {"kolm": 1, "name": "x", "train": {"method": "lora", "steps": 4}}


def test_every_combination_is_a_point_and_the_last_key_varies_fastest() -> None:
    points = points_of(BASE, read_grids(["rank=4,16", "learning_rate=1e-3,0.002"]))
    assert [point.number for point in points] == [1, 2, 3, 4]
    assert [point.label() for point in points] == [
        "rank 4, learning_rate 0.001",
        "rank 4, learning_rate 0.002",
        "rank 16, learning_rate 0.001",
        "rank 16, learning_rate 0.002",
    ]
    assert points[3].spec["train"] == {
        "method": {"kind": "lora", "rank": 16},
        "steps": 4,
        "learning_rate": Decimal("0.002"),
    }


def test_the_spec_that_is_varied_stays_as_it_is() -> None:
    base = {"train": {"method": {"kind": "lora", "rank": 1}}}
    points_of(base, {"train.method.rank": [2, 3]})
    assert base == {"train": {"method": {"kind": "lora", "rank": 1}}}


def test_a_list_is_one_value_and_null_leaves_the_key_out() -> None:
    base = {"train": {"method": {"kind": "lora", "targets": ["o_proj"]}}}
    points = points_of(base, read_grids(["targets=[q_proj,v_proj],null"]))
    assert points[0].spec["train"]["method"] == {"kind": "lora", "targets": ["q_proj", "v_proj"]}
    assert points[1].spec["train"]["method"] == {"kind": "lora"}
    assert [point.label() for point in points] == ["targets [q_proj, v_proj]", "targets default"]


def test_what_holds_other_keys_is_set_before_them() -> None:
    grid = {"train.method.rank": [4], "train.method": ["lora"]}
    assert points_of(BASE, grid)[0].spec["train"]["method"] == {"kind": "lora", "rank": 4}


def test_a_file_states_values_or_the_points_themselves(tmp_path: Path) -> None:
    values, listed = tmp_path / "values.yaml", tmp_path / "points.yaml"
    values.write_text("train.method.rank: [4, 16]\nlearning_rate: [0.001]\n")
    listed.write_text("- {train.method: ia3, learning_rate: 0.01}\n- {rank: 4}\n")
    assert len(points_of(BASE, read_grids([str(values), "steps=1,2,3"]))) == 6
    points = points_of(BASE, read_grids([str(listed)]))
    assert points[0].spec["train"]["method"] == "ia3"
    assert points[1].settings == {"train.method.rank": 4}


def test_a_key_may_be_named_by_its_end() -> None:
    assert full_key("rank") == "train.method.rank"
    assert full_key("early_stopping.patience") == "train.early_stopping.patience"
    assert full_key("base") == "base"


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([], "no points"),
        (["rnak=4"], "did you mean rank?"),
        (["batch_size=4"], "train.batch_size or evaluation.batch_size"),
        (["rank="], "no list of values"),
        (["rank=4,4"], "is given twice"),
        (["rank=4", "train.method.rank=8"], "varied twice"),
        (["rank=[4"], "the [ of line 1 is not closed"),
        (["nowhere.yaml"], "no file of this name"),
        (["name.x=1"], "no key name.x"),
        ([f"steps={','.join(map(str, range(1, MOST_POINTS + 2)))}"], "too many points"),
    ],
)
def test_what_does_not_hold_is_told(texts: list[str], said: str) -> None:
    with pytest.raises(KolmError) as caught:
        points_of(BASE, read_grids(texts))
    assert said in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ([{"rank": 4}, {"train.method.rank": 4}], "are the same"),
        ([{"rank": 4, "train.method.rank": 8}], "is given twice"),
        ([{}], "a mapping of keys"),
        ({"rank": "48"}, "no list of values"),
        ({"train.early_stopping.patience": [3]}, "no mapping in this spec"),
        ([{"rank": n} for n in range(MOST_POINTS + 1)], "too many points"),
    ],
)
def test_a_grid_from_python_is_held_to_the_same_rules(grid: Any, said: str) -> None:
    base = {"train": {"early_stopping": 3}}
    with pytest.raises(KolmError) as caught:
        points_of(base, grid)
    assert caught.value.code == "E_SWEEP_GRID"
    assert said in caught.value.message


def test_a_file_that_is_no_grid_is_told(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text("just words\n")
    with pytest.raises(KolmError) as caught:
        read_grids([str(path)])
    assert caught.value.code == "E_SWEEP_GRID"
    path.write_text("- {rank: 4}\n")
    with pytest.raises(KolmError, match="exclude each other"):
        read_grids([str(path), "rank=4"])
    with pytest.raises(KolmError, match="two lists"):
        read_grids([str(path), str(path)])
