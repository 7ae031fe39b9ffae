"""A stage's result: found by a key over what it depends on, and believed for nothing."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from kolm import canonical, digest
from kolm.errors import KolmError, Refused
from kolm.format import names
from kolm.run import folder as files
from kolm.run import stages
from kolm.run.earlier import checkpoints_of, find_state
from kolm.run.names import FACTS, HOLD, RESULT
from tests.support.bundles import make_parts

OTHER = digest.of_bytes(b"other")


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of a finished training, made of a toy bundle's documents, and its lock."""
    parts = make_parts(tmp_path / "toy")
    folder = tmp_path / "train"
    for name, data in parts.members().items():
        files.write(folder, name, data)
    facts = {
        "state_last": parts.trace[-1]["state"],
        "chain": parts.trace[-1]["chain"],
        "pictures": [{"learned": False, "numbers": 192, "sequences": 9}],
        "shared_prompts": False,
        "measured": {
            "compute": {
                "energy": {"absent": "a toy"},
                "from_step": 0,
                "observed_peak_bytes": 1,
                "seconds": "1.5",
            },
            "started_on": "2026-01-01T00:00:00Z",
            "train_seconds": "1.5",
            "tokens_per_second": "2",
        },
    }
    files.write_document(folder, FACTS, facts)
    stages.record(stages.TRAIN, folder)
    return folder, parts.lock


def changed(lock: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    other = copy.deepcopy(lock)
    *steps, last = path.split(".")
    part = other
    for step in steps:
        part = part[step]
    part[last] = value
    return other


@pytest.mark.parametrize(
    ("path", "value", "trains_again", "answers_again"),
    [
        ("name", "another", False, False),
        ("evaluation.floors.k", None, False, False),
        ("evaluation.cost", {"kind": "per_token", "usd_per_1000_tokens": "1"}, False, False),
        ("publish.text", False, False, False),
        ("base.id", "local/another", False, False),
        ("evaluation.metric", {"kind": "relaxed", "tolerance": "0.05"}, False, True),
        ("evaluation.max_new_tokens", 5, False, True),
        ("data.root", OTHER, False, False),  # other eval lines beside the same others
        ("data.cases", OTHER, False, False),  # an evaluation is of the cases that it is given
        ("train.learning_rate", "0.5", True, True),
        ("train.continues", {"state": OTHER, "chain": OTHER}, True, True),
        ("nonce", "1" * 64, True, True),
        ("base.root", OTHER, True, True),
        ("data.training", OTHER, True, True),
        ("environment.class", OTHER, True, True),
    ],
)
def test_a_key_is_over_what_a_stage_depends_on(
    trained: Any, path: str, value: Any, trains_again: bool, answers_again: bool
) -> None:
    _, lock = trained
    other = changed(lock, path, value)
    assert (stages.train_key(other) != stages.train_key(lock)) is trains_again
    of = {"weights": OTHER, "cases": OTHER}
    again = stages.evaluate_key(other, **of) != stages.evaluate_key(lock, **of)
    assert again is answers_again


def test_a_result_is_found_by_its_key(trained: Any) -> None:
    folder, lock = trained
    key = stages.train_key(lock)
    assert stages.is_done(stages.TRAIN, folder, key)
    assert not stages.is_done(stages.TRAIN, folder, OTHER)
    assert not stages.is_done(stages.TRAIN, folder / "nowhere", key)


@pytest.mark.parametrize("name", [*stages.TRAIN.leaves, names.LINES, names.LOCK, RESULT])
@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_result_with_any_damaged_file_is_none(trained: Any, name: str, damage: str) -> None:
    folder, lock = trained
    path = folder / name
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif name == names.LINES:  # of its lines only those that are learned from count
        path.write_bytes(data.replace(b'"train"', b'"eval"', 1))
    elif name == names.LOCK:  # of its fields only those that training rests on
        path.write_bytes(data.replace(b'"max_grad_norm":"1"', b'"max_grad_norm":"2"'))
    else:
        middle = len(data) // 2
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    assert not stages.is_done(stages.TRAIN, folder, stages.train_key(lock))


def test_a_folder_of_another_kolm_is_no_result_and_is_emptied(trained: Any) -> None:
    folder, _ = trained
    for name in (RESULT, files.INPUTS):
        files.write_document(folder, name, {})
    assert not stages.is_done(stages.EVALUATE, folder, OTHER)
    with files.held(folder):
        stages.make_ready(stages.EVALUATE, folder, OTHER)
        assert [path.name for path in folder.iterdir()] == [HOLD]


def test_a_stated_key_is_not_believed(trained: Any) -> None:
    folder, lock = trained
    other = changed(lock, "train.learning_rate", "0.5")
    stated = canonical.loads((folder / RESULT).read_bytes(), where=RESULT)
    key = stages.train_key(other)
    files.write_document(folder, RESULT, {**stated, "key": key})
    assert not stages.is_done(stages.TRAIN, folder, key)
    assert not stages.is_done(stages.TRAIN, folder, stages.train_key(lock))


def test_a_folder_of_other_inputs_is_emptied_and_one_of_the_same_is_kept(trained: Any) -> None:
    folder, lock = trained
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "checkpoint-00000000.json").write_bytes(b"{}")
    with files.held(folder):
        before = sorted(folder.rglob("*"))
        stages.make_ready(stages.TRAIN, folder, stages.train_key(lock))
        assert sorted(folder.rglob("*")) == before
        stages.make_ready(stages.TRAIN, folder, OTHER)
        assert [path.name for path in folder.iterdir()] == [HOLD]


def test_a_state_is_found_where_a_training_ended_in_it(trained: Any, tmp_path: Path) -> None:
    folder, _ = trained
    runs = tmp_path / "runs"
    runs.mkdir()
    folder.rename(runs / "train-0")
    facts = files.read_document(runs / "train-0", FACTS)
    other = tmp_path / "another"
    found = find_state([other, runs], facts["state_last"])
    assert found == (runs / "train-0", facts["state_last"], facts["chain"])
    with pytest.raises(KolmError) as caught:
        find_state([other, runs], OTHER)
    assert caught.value.code == "E_TRAIN_CONTINUES"
    assert caught.value.found == (f"{other}: no finished training\n{runs}: {facts['state_last']}")


@pytest.mark.parametrize(
    "change", [{"state_last": 7}, {"chain": ["x"]}, {"more": "keys"}, {"measured": None}]
)
def test_what_another_project_says_of_its_training_is_held_to_its_schema(
    trained: Any, change: Any, tmp_path: Path
) -> None:
    folder, _ = trained
    facts = {**files.read_document(folder, FACTS), **change}
    files.write_document(folder, FACTS, facts)
    (tmp_path / "runs").mkdir()
    folder.rename(tmp_path / "runs" / "train-0")
    with pytest.raises(KolmError) as caught:
        find_state([tmp_path / "runs"], OTHER)
    assert caught.value.code == "E_SCHEMA"
    assert "train.json" in caught.value.where


def test_a_bundle_is_gone_on_from_where_it_holds_its_last_state(tmp_path: Path) -> None:
    parts = make_parts(tmp_path / "toy")
    bundle = parts.seal(tmp_path / "toy.kolm")
    found = find_state([bundle], parts.trace[-1]["state"])
    assert found == (bundle, parts.trace[-1]["state"], parts.trace[-1]["chain"])
    with pytest.raises(KolmError) as caught, checkpoints_of(found, tmp_path):
        pass
    assert caught.value.code == "E_TRAIN_CONTINUES"
    assert "publish.checkpoints" in caught.value.hint


def test_a_checkpoint_of_a_bundle_that_is_none_is_refused(tmp_path: Path) -> None:
    """A stranger's bundle: what its last state is called is true, and what it says is not."""

    def emptied(step: int, document: dict[str, Any], _: dict[str, Any]) -> None:
        document.clear()

    parts = make_parts(tmp_path / "toy")
    parts.publish_checkpoints(emptied)
    found = find_state([parts.seal(tmp_path / "toy.kolm")], parts.trace[-1]["state"])
    with pytest.raises(Refused) as caught, checkpoints_of(found, tmp_path):
        pass
    assert caught.value.code == "E_SCHEMA"


def test_a_folder_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    with files.held(tmp_path / "run"):
        with pytest.raises(Refused) as caught, files.held(tmp_path / "run", patience_seconds=0):
            pass
        assert caught.value.code == "E_RUN_BUSY"
    with files.held(tmp_path / "run", patience_seconds=0):
        pass


def test_places_come_back_and_relative_ones_start_at_the_folder(tmp_path: Path) -> None:
    places = files.Places(
        base=tmp_path / "base", captures=tmp_path / "captures", adapter=Path("../train-0")
    )
    files.write_places(tmp_path / "run", places)
    found = files.read_places(tmp_path / "run")
    assert found == places._replace(adapter=tmp_path / "run" / "../train-0")


def test_answers_to_the_validation_side_are_not_taken_for_an_evaluation(
    trained: tuple[Path, dict[str, Any]],
) -> None:
    _, lock = trained
    facts: Any = {"weights": OTHER, "cases": OTHER}
    one = stages.evaluate_key(lock, **facts)
    other = stages.evaluate_key(lock, **facts, stage=stages.VALIDATE)
    assert one != other
    assert stages.VALIDATE.folder_name(other).startswith("validate-")
