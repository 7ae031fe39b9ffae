"""Specs: defaults, refusals with places, and what the record holds."""

from __future__ import annotations

import dataclasses
import typing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kolm import canonical, whole_schema
from kolm.errors import Refused, Unreadable
from kolm.records import spec as records
from kolm.spec import grid, load_spec, short_names
from kolm.spec.load import problems_of, read_source

MINIMAL = {"kolm": 1, "name": "x", "base": "kolm/nano-1", "data": {"captures": "captures"}}
SPECS = sorted((Path(__file__).parents[3] / "specs").glob("*.yaml"))


def spec(**more: Any) -> records.Spec:
    return load_spec({**MINIMAL, **more})


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.name)
def test_every_shipped_spec_loads(path: Path) -> None:
    assert load_spec(path).kolm == 1


def test_file_and_dict_give_the_same_record(tmp_path: Path) -> None:
    path = tmp_path / "kolm.yaml"
    path.write_text(
        "kolm: 1\nname: x\nbase: kolm/nano-1\ndata: {captures: captures}\n"
        "train: {learning_rate: 0.001, steps: 5}\n"
    )
    assert load_spec(path) == spec(train={"learning_rate": 0.001, "steps": 5})


def _schema_defaults(part: dict[str, Any]) -> dict[str, Any]:
    return {
        name: sub["default"]
        for name, sub in part.get("properties", {}).items()
        if "default" in sub and not isinstance(sub["default"], dict)
    }


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (records.Train, ("train",)),
        (records.Freeze, ("train", "freeze")),
        (records.Floors, ("evaluation", "floors")),
        (records.Publish, ("publish",)),
        (records.Spec, ()),
    ],
)
def test_the_record_and_the_schema_have_the_same_keys_and_defaults(
    kind: type, path: tuple[str, ...]
) -> None:
    part = whole_schema.load("spec")
    for step in path:
        part = part["properties"][step]
    fields = {field.name: field for field in dataclasses.fields(kind)}
    assert set(fields) == set(part["properties"])
    for name, value in _schema_defaults(part).items():
        if name in ("cost", "objective"):
            continue  # short forms of a mapping
        default = fields[name].default
        if isinstance(default, str) and isinstance(value, int | float):
            assert Decimal(default) == Decimal(str(value)), name
        else:
            assert default == value, name


def test_defaults_that_depend_on_something_else() -> None:
    assert spec().data.near_duplicates == "report"
    shares = {"captures": "c", "split": {"eval": 0.1}}
    divided = spec(data=shares).data
    assert divided.near_duplicates == "refuse"
    assert divided.split == records.Split(kind="hash", eval="0.1", validation="0.05")
    assert (spec().train.steps, spec().train.epochs) == (None, None)


def test_short_forms_are_written_out() -> None:
    train = spec(train={"objective": "sft", "method": "lora"}).train
    assert (train.objective, train.method) == ({"kind": "sft"}, {"kind": "lora"})
    assert spec(train={"objective": {"kind": "sft"}}).train.objective == train.objective
    relaxed = spec(evaluation={"metric": "relaxed"}).evaluation.metric
    assert relaxed == {"kind": "relaxed", "tolerance": "0.05"}
    assert spec(cost="local").cost == records.Cost()
    priced = spec(cost={"usd_per_1000_tokens": 0.002}).cost
    assert priced == records.Cost(kind="per_token", usd_per_1000_tokens="0.002")


def test_every_fraction_is_a_canonical_decimal_string() -> None:
    loaded = spec(
        train={"learning_rate": 1, "weight_decay": 0.10, "max_grad_norm": 2},
        evaluation={"floors": {"k": 0}},
    )

    def walk(record: Any) -> None:
        for field in dataclasses.fields(record):
            value = getattr(record, field.name)
            assert not isinstance(value, float | Decimal)
            if dataclasses.is_dataclass(value):
                walk(value)

    walk(loaded)
    assert (loaded.train.learning_rate, loaded.train.weight_decay) == ("1", "0.1")
    assert loaded.evaluation.floors.k == "0"
    canonical.parse_decimal(loaded.train.max_grad_norm, where="here")


def test_targets_are_a_list_of_leaves_or_every_linear_layer() -> None:
    method = {"targets": "all-linear"}
    assert spec(train={"method": method}).train.method == method
    with pytest.raises(Refused) as caught:
        spec(train={"method": {"targets": "q_proj"}})
    assert caught.value.expected == "all-linear or a list"


@pytest.mark.parametrize(
    ("more", "code", "where", "says"),
    [
        ({"nmae": "y"}, "E_SPEC_UNKNOWN_KEY", "nmae", "did you mean name?"),
        (
            {"train": {"method": {"lora_rank": 4}}},
            "E_SPEC_UNKNOWN_KEY",
            "train.method.lora_rank",
            "rank",
        ),
        ({"data": {}}, "E_SPEC_MISSING_KEY", "data", ""),
        ({"name": "No Spaces"}, "E_SPEC_VALUE", "name", ""),
        ({"train": {"steps": 0}}, "E_SPEC_VALUE", "train.steps", ""),
        ({"train": {"steps": 1.5}}, "E_SPEC_VALUE", "train.steps", ""),
        ({"train": {"steps": True}}, "E_SPEC_VALUE", "train.steps", ""),
        ({"train": {"learning_rate": "fast"}}, "E_SPEC_VALUE", "train.learning_rate", ""),
        ({"train": {"learning_rate": 0}}, "E_SPEC_VALUE", "train.learning_rate", ""),
        ({"train": {"method": {"targets": []}}}, "E_SPEC_VALUE", "train.method.targets", ""),
        ({"train": {"method": {"targets": "q_proj"}}}, "E_SPEC_VALUE", "train.method.targets", ""),
        ({"train": {"method": {"targets": ["."]}}}, "E_SPEC_VALUE", "train.method.targets.0", ""),
        (
            {"train": {"method": {"targets": ["a", "a"]}}},
            "E_SPEC_VALUE",
            "train.method.targets",
            "",
        ),
        ({"train": []}, "E_SPEC_VALUE", "train", ""),
        ({"train": None}, "E_SPEC_VALUE", "train", ""),
        ({"evaluation": {"metric": "exakt"}}, "E_SPEC_VALUE", "evaluation.metric", ""),
        (
            {"evaluation": {"metric": {"kind": "relaxed", "tol": 1}}},
            "E_SPEC_UNKNOWN_KEY",
            "evaluation.metric.tol",
            "tolerance",
        ),
        (
            {"data": {"captures": "c", "split": {"evl": 0.1}}},
            "E_SPEC_UNKNOWN_KEY",
            "data.split.evl",
            "eval",
        ),
        ({"data": {"captures": "c", "split": "offcial"}}, "E_SPEC_VALUE", "data.split", ""),
        ({"cost": 3}, "E_SPEC_VALUE", "cost", ""),
        ({"evaluation": {"batch_size": 65}}, "E_SPEC_VALUE", "evaluation.batch_size", ""),
        ({"nonce": "00"}, "E_SPEC_VALUE", "nonce", ""),
        ({"train": {"steps": 1, "epochs": 1}}, "E_SPEC_CONFLICT", "train.epochs", ""),
        (
            {"data": {"captures": "c", "split": {"eval": 0.1}, "validation": 0.1}},
            "E_SPEC_CONFLICT",
            "data.validation",
            "",
        ),
        (
            {"train": {"projector": "frozen", "freeze": {"projector_after_steps": 2}}},
            "E_SPEC_CONFLICT",
            "train.freeze.projector_after_steps",
            "",
        ),
        (
            {"train": {"projector": "frozen", "projector_learning_rate": 0.1}},
            "E_SPEC_CONFLICT",
            "train.projector_learning_rate",
            "",
        ),
        (
            {"train": {"validate_every": 5, "early_stopping": {"patience": 1, "every_steps": 6}}},
            "E_SPEC_CONFLICT",
            "train.early_stopping.every_steps",
            "",
        ),
        (
            {"train": {"early_stopping": {"patience": 1}}},
            "E_SPEC_CONFLICT",
            "train.early_stopping",
            "validate_every",
        ),
        (
            {"train": {"validate_cases": 8}},
            "E_SPEC_CONFLICT",
            "train.validate_cases",
            "validate_every",
        ),
        (
            {"train": {"validate_every": 5, "early_stopping": {"patience": 1, "on": "metric"}}},
            "E_SPEC_CONFLICT",
            "train.early_stopping.on",
            "validate_cases",
        ),
        (
            {"evaluation": {"metric": {"kind": "exact", "tolerance": 0.1}}},
            "E_SPEC_UNKNOWN_KEY",
            "evaluation.metric.tolerance",
            "valid keys: kind\n",
        ),
        (
            {"evaluation": {"metric": {"kind": "relaxt", "tolerance": 0.1}}},
            "E_SPEC_VALUE",
            "evaluation.metric.kind",
            "",
        ),
        (
            {"evaluation": {"metric": {"kind": "regex", "pattern": "(a"}}},
            "E_METRIC_PATTERN",
            "evaluation.metric.pattern",
            "",
        ),
        ({"evaluation": {"metric": "regex"}}, "E_SPEC_VALUE", "evaluation.metric", ""),
        ({"evaluation": {"floors": {"f1": 0.5}}}, "E_SPEC_CONFLICT", "evaluation.floors.f1", ""),
        (
            {"evaluation": {"metric": {"kind": "choice", "choices": ["red", "red"]}}},
            "E_SPEC_VALUE",
            "evaluation.metric.choices",
            "",
        ),
        (
            {"evaluation": {"metric": {"tolerance": 0.1}}},
            "E_SPEC_MISSING_KEY",
            "evaluation.metric",
            "",
        ),
    ],
)
def test_a_wrong_spec_is_refused_with_code_place_and_help(
    more: dict[str, Any], code: str, where: str, says: str
) -> None:
    with pytest.raises(Refused) as raised:
        spec(**more)
    assert raised.value.code == code
    assert raised.value.where == where
    assert says in raised.value.hint
    assert "{'" not in str(raised.value.found)


@pytest.mark.parametrize(
    ("more", "meant"),
    [
        ({"train": {"lr": 0.1}}, "learning_rate"),
        ({"train": {"num_epochs": 2}}, "epochs"),
        ({"train": {"bs": 2}}, "batch_size"),
        ({"train": {"per_device_train_batch_size": 2}}, "batch_size"),
        ({"train": {"warmup": 2}}, "warmup_steps"),
        ({"train": {"wd": 0.1}}, "weight_decay"),
        ({"train": {"r": 8}}, "train.method.rank"),
        ({"train": {"rank": 8}}, "train.method.rank"),
        ({"train": {"method": {"lora_r": 8}}}, "rank"),
        ({"train": {"method": {"lora_alpha": 8}}}, "alpha"),
        ({"lr": 0.1}, "train.learning_rate"),
        ({"batch_size": 2}, "train.batch_size or evaluation.batch_size"),
        ({"model": "kolm/nano-1"}, "base"),
        ({"evaluation": {"floors": {"accuracy": 0.9}}}, "accuracy_lower_bound"),
    ],
)
def test_a_name_that_other_programs_use_finds_its_key(more: dict[str, Any], meant: str) -> None:
    with pytest.raises(Refused) as raised:
        spec(**more)
    assert raised.value.hint == f"did you mean {meant}? kolm help reference/spec lists every key"


@pytest.mark.parametrize("key", short_names.MEANT.values())
def test_every_name_of_other_programs_stands_for_a_key(key: str) -> None:
    assert grid.keys_meant(key)


def test_the_keys_there_are_are_listed_where_none_is_like_the_unknown_one() -> None:
    with pytest.raises(Refused) as raised:
        spec(train={"zzz": 1})
    lines = raised.value.hint.split("\n")
    assert lines[0].startswith("valid keys: ")
    assert all(len(line) <= 70 for line in lines)
    assert {"steps", "learning_rate"} <= set(raised.value.hint.replace(",", " ").split())


@pytest.mark.parametrize(
    ("value", "found", "hint"),
    [
        ("20", 'the text "20"', "write 20 without quotes; "),
        ("fast", 'the text "fast"', "kolm help"),
        ("1.5", 'the text "1.5"', "kolm help"),
        (1.5, "1.5", "kolm help"),
        (True, "true", "kolm help"),
    ],
)
def test_a_text_does_not_look_like_the_number_that_it_spells(
    value: object, found: str, hint: str
) -> None:
    with pytest.raises(Refused) as raised:
        spec(train={"steps": value})
    assert (raised.value.expected, raised.value.found) == ("a whole number", found)
    assert raised.value.hint.startswith(hint)


def test_all_problems_are_found_and_the_first_in_line_order_is_raised(tmp_path: Path) -> None:
    path = tmp_path / "kolm.yaml"
    path.write_text(
        "kolm: 1\nname: x\nbase: b\ndata: {captures: c}\n"
        "train:\n  stepz: 4\nevaluation:\n  metrik: 1\n"
    )
    found = problems_of(read_source(path))
    assert [problem.where for problem in found] == ["kolm.yaml:6", "kolm.yaml:8"]
    with pytest.raises(Refused) as raised:
        load_spec(path)
    assert raised.value.where == "kolm.yaml:6"
    assert "1 more" in raised.value.hint


def test_a_missing_spec_could_not_be_looked_at(tmp_path: Path) -> None:
    with pytest.raises(Unreadable) as raised:
        load_spec(tmp_path / "kolm.yaml")
    assert raised.value.code == "E_SPEC_MISSING"


def test_a_spec_of_another_version_could_not_be_looked_at(tmp_path: Path) -> None:
    (tmp_path / "kolm.yaml").write_text("name: x\nkolm: 2\nlater: true\n")
    with pytest.raises(Unreadable) as raised:
        load_spec(tmp_path / "kolm.yaml")
    assert (raised.value.code, raised.value.where) == ("E_SPEC_VERSION", "kolm.yaml:2")


def test_closed_choices_of_record_and_schema_agree() -> None:
    train = whole_schema.load("spec")["properties"]["train"]["properties"]
    hints = typing.get_type_hints(records.Train)
    for name in ("schedule", "precision"):
        assert list(typing.get_args(hints[name])) == train[name]["enum"]


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(records.Floors)])
def test_any_floor_can_be_switched_off_with_null(name: str) -> None:
    spec = {"kolm": 1, "name": "x", "base": "b", "data": {"captures": "c"}}
    off = {**spec, "evaluation": {"floors": {name: None}}}
    if name == "worst_slice_minimum_cases":  # no floor, but a rule of one
        with pytest.raises(Refused):
            load_spec(off)
        return
    assert getattr(load_spec(off).evaluation.floors, name) is None
