"""Resolving: what a lock says that a spec leaves open, and what it refuses."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from kolm import canonical, digest, schema, whole_schema
from kolm.errors import Refused
from kolm.format.seeds import derive_seeds, training_root
from kolm.spec import diff, load_spec, resolve

ZERO = digest.of_bytes(b"")
ENVIRONMENT = {
    "python": "3.11", "torch": "2.13.0+cpu", "transformers": "5.23.0", "peft": "0.21.2",
    "tokenizers": "0.23.3", "safetensors": "0.8.0", "numpy": "2.4.6", "pillow": "13.0.0",
    "kolm": "0.1.0", "device": "cpu", "cpu": "some processor", "isa": "AVX2",
    "capability": "AVX2", "arithmetic": "sha256:" + "0" * 64, "threads": 2,
    "profile": "strict", "world_size": 1,
}  # fmt: skip
BASE = {
    "id": "kolm/nano-1", "family": "qwen2_5_vl", "revision": None, "root": ZERO, "tensors": 3,
    "parameters": 4, "dtype": "float32", "license": "Apache-2.0", "papers": [], "files": [],
    "template": {"digest": ZERO, "source": "base"},
}  # fmt: skip


MEASURED: Any = {"base": BASE, "training": ZERO, "cases": ZERO}


def side(captures: int) -> dict[str, int]:
    return {"captures": captures, "images": captures}


def lock(*, train: Any = None, sides: tuple[int, int, int] = (100, 5, 20), **more: Any) -> Any:
    measured = {name: more.pop(name, known) for name, known in MEASURED.items()}
    spec = {"kolm": 1, "name": "x", "base": "b", "data": {"captures": "c"}, "train": train or {}}
    environment = more.pop("environment", ENVIRONMENT)
    snapshot = {
        "root": ZERO,
        "splits": {
            "train": side(sides[0]),
            "validation": side(sides[1]),
            "eval": side(sides[2]),
        },
    }
    loaded = load_spec({**spec, **more})
    return resolve(loaded, snapshot=snapshot, environment=environment, **measured)


def test_a_lock_fits_its_schema_for_our_checker_and_for_the_oracle() -> None:
    made = lock()
    assert schema.checker("lock")(made) is None
    Draft202012Validator(whole_schema.load("lock")).validate(made)


def test_the_lock_schema_demands_every_key() -> None:
    made = lock()

    def walk(part: Any, path: tuple[str, ...]) -> Any:
        if isinstance(part, dict):
            for key in part:
                yield (*path, key)
                yield from walk(part[key], (*path, key))

    for path in walk(made, ()):
        broken = canonical.loads(canonical.dumps(made), where="lock")
        parent = broken
        for step in path[:-1]:
            parent = parent[step]
        del parent[path[-1]]
        assert schema.checker("lock")(broken) is not None, path


@pytest.mark.parametrize(
    ("train", "examples", "steps"),
    [
        ({"steps": 7}, 100, 7),
        ({}, 100, 300),  # what the base needs at least
        ({}, 10000, 1250),  # one epoch in batches of 8
        ({"epochs": 1}, 100, 13),
        ({"epochs": 2, "batch_size": 10}, 100, 20),
        ({"epochs": 0.5, "batch_size": 10}, 100, 5),
        ({"epochs": 1, "batch_size": 10, "accumulation": 3}, 100, 4),
        ({"epochs": 0.001, "batch_size": 64}, 10, 1),
    ],
)
def test_epochs_become_steps(train: dict[str, Any], examples: int, steps: int) -> None:
    assert lock(train=train, sides=(examples, 1, 1))["train"]["steps"] == steps


def test_defaults_are_spelled_out() -> None:
    train = lock(train={"steps": 600, "learning_rate": 0.001})["train"]
    assert train["warmup_steps"] == 18
    assert train["projector_learning_rate"] == "0.0005"
    assert train["method"]["targets"] == [
        "down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj",
    ]  # fmt: skip
    assert train["early_stopping"] is None
    assert lock(train={"steps": 3})["train"]["segments"] == 3


def test_when_and_how_a_run_looks_at_the_validation_side_is_settled() -> None:
    assert lock()["train"]["validation"] is None
    plain = lock(train={"early_stopping": {"patience": 2, "every_steps": 5}})["train"]
    assert plain["validation"] == {"every_steps": 5, "answers": None}
    assert plain["early_stopping"] == {"patience": 2, "on": "loss"}
    answering = {
        "validate_every": 5, "validate_cases": 9, "early_stopping": {"patience": 2, "on": "metric"},
    }  # fmt: skip
    train = lock(train=answering, evaluation={"metric": "anls", "max_new_tokens": 7})["train"]
    answers = train["validation"]["answers"]
    assert (answers["cases"], answers["max_new_tokens"]) == (9, 7)
    assert answers["metric"] == {"kind": "anls", "threshold": "0.5"}
    assert train["early_stopping"]["on"] == "metric"


def test_another_metric_is_another_training_only_where_a_run_answers() -> None:
    def seeds(metric: str, **train: Any) -> Any:
        return lock(train={"validate_every": 5, **train}, evaluation={"metric": metric})["seeds"]

    assert seeds("anls") == seeds("exact")
    assert seeds("anls", validate_cases=4) != seeds("exact", validate_cases=4)


def test_a_rate_that_the_spec_states_is_taken_and_the_recommended_one_is_told() -> None:
    stated = lock(train={"learning_rate": 0.003})
    assert stated["train"]["learning_rate"] == "0.003"
    assert (stated["rates"]["source"], stated["rates"]["recommended"]) == ("spec", "0.002")


def test_without_one_the_recommended_rate_is_taken_and_seeds_do_not_rest_on_why() -> None:
    taken, stated = lock(), lock(train={"learning_rate": 0.002})
    assert taken["rates"]["source"] == "recommended"
    assert taken["train"] == stated["train"]
    assert taken["seeds"] == stated["seeds"]


def test_another_method_has_a_rate_of_its_own_and_the_projector_is_the_same_for_all() -> None:
    plain, other = lock()["train"], lock(train={"method": "ia3"})
    assert other["rates"]["recommended"] == other["train"]["learning_rate"]
    assert Decimal(other["train"]["learning_rate"]) > Decimal(plain["learning_rate"])
    third = lock(train={"method": "bottleneck"})["train"]
    assert third["learning_rate"] != other["train"]["learning_rate"]
    assert third["projector_learning_rate"] == other["train"]["projector_learning_rate"]


def test_a_frozen_projector_has_the_learning_rate_zero() -> None:
    assert lock(train={"projector": "frozen"})["train"]["projector_learning_rate"] == "0"


def test_an_unfrozen_tower_is_in_the_target_expression() -> None:
    assert "visual" not in lock()["train"]["method"]["target_expression"]
    opened = lock(train={"freeze": {"vision": False}})
    assert "visual" in opened["train"]["method"]["target_expression"]


@pytest.mark.parametrize(
    ("train", "sides", "code"),
    [
        ({"steps": 5, "warmup_steps": 5}, (100, 5, 20), "E_SPEC_CONFLICT"),
        ({"steps": 5, "freeze": {"projector_after_steps": 5}}, (100, 5, 20), "E_SPEC_CONFLICT"),
        (
            {"steps": 5, "early_stopping": {"patience": 1, "every_steps": 6}},
            (100, 5, 20),
            "E_SPEC_CONFLICT",
        ),
        ({"early_stopping": {"patience": 1, "every_steps": 1}}, (100, 0, 20), "E_SPEC_CONFLICT"),
        ({}, (0, 5, 20), "E_SPEC_CONFLICT"),
        ({}, (100, 5, 0), "E_SPEC_CONFLICT"),
        ({"method": {"targets": ["q_porj"]}}, (100, 5, 20), "E_ROLES_UNKNOWN_TARGET"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    train: dict[str, Any], sides: tuple[int, int, int], code: str
) -> None:
    with pytest.raises(Refused) as raised:
        lock(train=train, sides=sides)
    assert raised.value.code == code


def test_the_environment_class_is_the_digest_of_the_rest() -> None:
    environment = lock(train={"threads": 7})["environment"]
    assert environment["threads"] == 7
    rest = {key: value for key, value in environment.items() if key != "class"}
    assert environment["class"] == digest.of_value(rest)


def test_seeds_follow_the_written_rule() -> None:
    made = lock()
    rests_on = {
        "base": made["base"]["root"],
        "data": made["data"]["training"],
        "nonce": made["nonce"],
        "train": made["train"],
    }
    whole = hashlib.sha256(canonical.dumps(rests_on)).digest()
    for label, seed in made["seeds"].items():
        assert seed == "sha256:" + hashlib.sha256(label.encode() + whole).hexdigest()
    assert derive_seeds(made) == made["seeds"]


OTHER = digest.of_bytes(b"other")


@pytest.mark.parametrize(
    "change",
    [
        {"train": {"learning_rate": 0.5}},
        {"train": {"steps": 77}},
        {"nonce": "1" * 64},
        {"training": OTHER},
        {"base": {**BASE, "root": OTHER}},
    ],
)
def test_another_training_has_other_seeds(change: Any) -> None:
    assert lock(**change)["seeds"] != lock()["seeds"]


@pytest.mark.parametrize(
    "change",
    [
        {"name": "another"},
        {"evaluation": {"floors": {"k": 0.1}, "metric": "relaxed"}},
        {"publish": {"text": False}},
        {"cost": {"usd_per_1000_tokens": 2}},
        {"cases": OTHER},
        {"environment": {**ENVIRONMENT, "threads": 9, "cpu": "another"}},
        {"train": {"threads": 3}},
        {"base": {**BASE, "id": "kolm/nano-1000", "license": "MIT"}},
    ],
)
def test_what_training_does_not_rest_on_leaves_the_seeds_as_they_are(change: Any) -> None:
    # Stated: what is recommended depends on the base's name.
    train = {"learning_rate": 0.001, "steps": 9}
    own, other = (
        lock(train=train),
        lock(**{**change, "train": {**train, **change.get("train", {})}}),
    )
    assert other != own
    assert other["seeds"] == own["seeds"]


@given(st.lists(st.tuples(st.sampled_from(["eval", "train", "validation"]), st.binary())))
def test_the_training_root_is_over_the_lines_that_are_learned_from(lines: Any) -> None:
    learned = [line for line in lines if line[0] != "eval"]
    assert training_root(lines) == training_root(learned)
    assert training_root(lines) == digest.merkle_root(line for _, line in learned)


def test_resolving_is_a_function_of_its_arguments() -> None:
    shuffled = dict(reversed(ENVIRONMENT.items()))
    assert canonical.dumps(lock()) == canonical.dumps(lock(environment=shuffled))


def test_a_diff_names_every_key_that_differs() -> None:
    one, other = lock(train={"steps": 20}), lock(train={"steps": 30, "method": {"rank": 8}})
    paths = {difference.path for difference in diff(one, other)}
    assert {"train.steps", "train.method.rank", "seeds.order"} <= paths
    assert "name" not in paths
    assert diff(one, one) == ()


def test_a_diff_tells_a_missing_key_from_null() -> None:
    assert diff({"a": None}, {})[0].path == "a"


def test_the_number_of_processes_is_no_setting_of_the_training() -> None:
    together = lock(train={"processes": 2, "accumulation": 4})
    assert together == lock(train={"accumulation": 4})


@pytest.mark.parametrize(
    ("accumulation", "device", "found"),
    [(3, "cpu", "processes share the batches of a step"), (4, "mps", "Metal")],
)
def test_processes_that_cannot_train_together_are_refused(
    accumulation: int, device: str, found: str
) -> None:
    environment = {**ENVIRONMENT, "device": device}
    with pytest.raises(Refused) as caught:
        lock(train={"processes": 2, "accumulation": accumulation}, environment=environment)
    assert caught.value.where == "train.processes"
    assert found in caught.value.message


@pytest.mark.parametrize("optimizer", ["adamw_8bit", "paged_adamw_8bit"])
def test_moments_in_8_bits_are_refused_where_nothing_computes_them(optimizer: str) -> None:
    metal = {**ENVIRONMENT, "device": "mps"}
    with pytest.raises(Refused) as caught:
        lock(train={"optimizer": optimizer}, environment=metal)
    assert caught.value.where == "train.optimizer"
    assert lock(environment=metal)["train"]["optimizer"] == "adamw"
