"""The K-score document that is signed beside a bundle, made from an evaluation and measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from kolm.errors import Refused
from kolm.score.kscore import LATENCY_CALLS, decide, kscore_v1
from kolm.score.rounding import ratio

if TYPE_CHECKING:
    from kolm.digest import Digest
    from kolm.records.documents import (
        Evaluation,
        Kscore,
        KscoreAxes,
        KscoreInputs,
        KscoreMachine,
        KscorePack,
    )

SCHEMA: Final = "urn:kolm:kscore:v1"
V1: Final = "kscore/v1"


def claim(
    evaluation: Evaluation,
    *,
    evaluation_digest: Digest,
    size_bytes: int,
    p50_latency_us: int,
    p95_latency_us: int,
    latency_calls: int,
    cost_usd_per_call: str,
    gate_k: str | None,
    pack: KscorePack,
    machine: KscoreMachine,
    measured_on: str,
) -> Kscore:
    """The kscore document of an evaluation and the measurements of one machine.

    Accuracy, coverage and the floors come from the evaluation alone. K and the gate are decided on
    the values as written.

    Raises:
        Refused: ``E_KSCORE_LATENCY_CALLS`` for a median of too few calls; a malformed decimal.
    """
    if latency_calls < LATENCY_CALLS:
        raise Refused(
            "E_KSCORE_LATENCY_CALLS",
            "the latency was measured on too few calls",
            expected=f"at least {LATENCY_CALLS}",
            found=str(latency_calls),
        )
    inputs: KscoreInputs = {
        "accuracy": evaluation["adapter"]["accuracy"],
        "coverage": ratio(evaluation["covered"], evaluation["cases"]),
        "size_bytes": size_bytes,
        "p50_latency_us": p50_latency_us,
        "p95_latency_us": p95_latency_us,
        "latency_calls": latency_calls,
        "cost_usd_per_call": cost_usd_per_call,
    }
    result = kscore_v1(inputs)
    return {
        "schema": SCHEMA,
        "spec": V1,
        "inputs": inputs,
        "axes": cast("KscoreAxes", result.axes),
        "composite": result.composite,
        "gate": decide(result.composite, gate_k, floors_passed=evaluation["floors_passed"]),
        "evaluation": evaluation_digest,
        "pack": pack,
        "machine": machine,
        "measured_on": measured_on,
    }
