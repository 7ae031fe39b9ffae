"""The ten vectors of the earlier implementation, and the laws of the composite."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm import canonical, schema
from kolm.errors import Refused
from kolm.records.documents import KscoreInputs as Inputs
from kolm.records.documents import KscoreMachine as Machine
from kolm.records.documents import KscorePack as Pack
from kolm.score.kscore import cost_usd_per_call, decide, kscore_v1
from kolm.score.kscore_claim import claim
from kolm.score.kscore_v2 import Extras, kscore_v2

VECTORS = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "vectors" / "kscore-v1-v2.jsonl")
    .read_text()
    .splitlines()
]
AXIS_OF_FIELD = {
    "accuracy": "A",
    "size_score": "S",
    "latency_score": "L",
    "cost_score": "C",
    "coverage": "V",
    "robustness_score": "R",
    "teacher_fidelity_score": "T",
    "fairness_score": "F",
    "energy_score": "E",
    "drift_score": "Z",
}


def _inputs(given_inputs: dict[str, Any]) -> Inputs:
    """The vector's inputs, with what the earlier implementation assumed for those it lacks."""
    latency = given_inputs.get("p50_latency_us", 100)
    return Inputs(
        accuracy=canonical.decimal(given_inputs.get("accuracy", 0), None),
        coverage=canonical.decimal(given_inputs.get("coverage", 0), None),
        size_bytes=given_inputs.get("size_bytes", 0),
        p50_latency_us=latency,
        p95_latency_us=latency,
        latency_calls=30,
        cost_usd_per_call=canonical.decimal(given_inputs.get("cost_usd_per_call", 0), None),
    )


def _extras(given_inputs: dict[str, Any]) -> Extras:
    names = {
        "holdout_accuracy": "holdout_accuracy",
        "teacher_holdout_accuracy": "teacher_holdout_accuracy",
        "subgroup_min_accuracy": "worst_slice_accuracy",
        "joules_per_call": "joules_per_call",
        "eval_set_drift": "drift",
    }
    return Extras(
        **{
            ours: Decimal(str(given_inputs[old]))
            for old, ours in names.items()
            if old in given_inputs
        }
    )


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_vectors_of_the_earlier_implementation(vector: dict[str, Any]) -> None:
    inputs = _inputs(vector["input"])
    out = vector["out"]
    if out["spec"] == "k-score-1":
        result = kscore_v1(inputs)
    else:
        result = kscore_v2(inputs, _extras(vector["input"]))
    assert result.composite == canonical.decimal(out["composite"], None)
    expected = {
        axis: canonical.decimal(out[field], None)
        for field, axis in AXIS_OF_FIELD.items()
        if out.get(field) is not None
    }
    assert dict(result.axes) == expected
    assert decide(result.composite, "0.85", floors_passed=True)["k_passed"] is out["ships"]


def test_there_are_ten_vectors() -> None:
    assert len(VECTORS) == 10


_unit = st.integers(0, 10**6).map(lambda n: canonical.decimal(Decimal(n).scaleb(-6), None))
_any_inputs = st.builds(
    Inputs,
    accuracy=_unit,
    coverage=_unit,
    size_bytes=st.integers(1, 2**50),
    p50_latency_us=st.integers(0, 10**9),
    p95_latency_us=st.integers(0, 10**9),
    latency_calls=st.just(30),
    cost_usd_per_call=_unit,
)


@given(_any_inputs)
def test_axes_and_composite_stay_within_zero_and_one(inputs: Inputs) -> None:
    result = kscore_v1(inputs)
    for value in (*result.axes.values(), result.composite):
        assert 0 <= Decimal(value) <= 1
        assert canonical.decimal(Decimal(value), 4) == value


@given(_any_inputs)
def test_v2_without_extras_is_the_five_axes_reweighted(inputs: Inputs) -> None:
    assert kscore_v2(inputs, Extras()).axes == kscore_v1(inputs).axes


def _cost(inputs: Inputs) -> Decimal:
    return Decimal(inputs["cost_usd_per_call"])


@given(_any_inputs, _any_inputs)
def test_better_on_every_input_never_scores_lower(one: Inputs, other: Inputs) -> None:
    best = Inputs(
        accuracy=str(max(one["accuracy"], other["accuracy"], key=Decimal)),
        coverage=str(max(one["coverage"], other["coverage"], key=Decimal)),
        size_bytes=min(one["size_bytes"], other["size_bytes"]),
        p50_latency_us=min(one["p50_latency_us"], other["p50_latency_us"]),
        p95_latency_us=0,
        latency_calls=30,
        cost_usd_per_call=str(
            min(one["cost_usd_per_call"], other["cost_usd_per_call"], key=Decimal)
        ),
    )
    assert Decimal(kscore_v1(best).composite) >= Decimal(kscore_v1(one).composite)


EVALUATION = {
    "adapter": {"accuracy": "0.97"},
    "covered": 995,
    "cases": 1000,
    "floors_passed": True,
}
MACHINE = Machine(cpu="a cpu", threads=2, device="cpu", memory_bytes=2**34)
DIGEST = "sha256:" + "0" * 64


def _claim(**changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "evaluation_digest": DIGEST,
        "size_bytes": 1_500_000,
        "p50_latency_us": 12_000,
        "p95_latency_us": 15_000,
        "latency_calls": 30,
        "cost_usd_per_call": "0",
        "gate_k": "0.85",
        "pack": Pack(root=DIGEST, owner="publisher"),
        "machine": MACHINE,
        "measured_on": "2026-01-02T03:04:05Z",
    }
    evaluation = {**EVALUATION, **changes.pop("evaluation", {})}
    return claim(evaluation, **{**arguments, **changes})


def test_a_claim_fits_its_schema_and_takes_accuracy_and_coverage_from_the_evaluation() -> None:
    document = _claim()
    schema.check("kscore", document, where="claim")
    assert document["inputs"]["accuracy"] == "0.97"
    assert document["inputs"]["coverage"] == "0.995"
    assert document["gate"] == {
        "k": "0.85",
        "k_passed": True,
        "floors_passed": True,
        "verdict": "passed",
    }


def test_a_failed_floor_fails_the_gate_whatever_k_is() -> None:
    gate = _claim(evaluation={"floors_passed": False})["gate"]
    assert (gate["k_passed"], gate["verdict"]) == (True, "failed")


def test_a_low_k_fails_the_gate_whatever_the_floors_say() -> None:
    gate = _claim(p50_latency_us=5_000_000, size_bytes=2**34)["gate"]
    assert (gate["k_passed"], gate["verdict"]) == (False, "failed")


def test_without_a_demanded_k_the_floors_alone_decide() -> None:
    document = _claim(gate_k=None, p50_latency_us=5_000_000, size_bytes=2**34)
    schema.check("kscore", document, where="claim")
    gate = document["gate"]
    assert (gate["k"], gate["k_passed"], gate["verdict"]) == (None, None, "passed")
    failed = _claim(gate_k=None, evaluation={"floors_passed": False})["gate"]
    assert failed["verdict"] == "failed"


def test_the_gate_is_decided_on_the_written_value() -> None:
    assert decide("0.85", "0.85", floors_passed=True)["verdict"] == "passed"
    assert decide("0.8499", "0.85", floors_passed=True)["verdict"] == "failed"


def test_a_median_of_too_few_calls_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        _claim(latency_calls=29)
    assert caught.value.code == "E_KSCORE_LATENCY_CALLS"


def test_cost_is_zero_only_for_a_local_base() -> None:
    assert cost_usd_per_call({"kind": "local"}, "30") == "0"
    priced = {"kind": "per_token", "usd_per_1000_tokens": "0.15"}
    assert cost_usd_per_call(priced, "30.5") == "0.004575"
