"""The K-score: five measured axes, one composite, one gate.

Stands after the evaluation: `claim` builds the predicate that is signed beside a bundle, and the
verifier calls it again with the claimed measurements. The formulas keep those that existing `.kolm`
users know, so numbers compare; docs/format/kscore.md states them. Logarithms are decimals of 28
digits, correctly rounded, so four written places are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from kolm import canonical
from kolm.errors import Refused
from kolm.score.rounding import DECIMALS, ratio

if TYPE_CHECKING:
    from kolm.digest import Digest
    from kolm.records.documents import (
        Evaluation,
        Kscore,
        KscoreAxes,
        KscoreGate,
        KscoreInputs,
        KscoreMachine,
        KscorePack,
        LockEvaluationCostLocal,
        LockEvaluationCostPerToken,
    )


SCHEMA: Final = "urn:kolm:kscore:v1"
V1: Final = "kscore/v1"
V2: Final = "kscore/v2"
LATENCY_CALLS = 30  # the fewest single calls a median may rest on
SIZED_MEMBERS = ("adapter_model.safetensors", "adapter_config.json")  # what answering must load

WEIGHTS_V1 = {
    "A": Decimal("0.40"),
    "S": Decimal("0.15"),
    "L": Decimal("0.15"),
    "C": Decimal("0.15"),
    "V": Decimal("0.15"),
}
WEIGHTS_V2 = {
    "A": Decimal("0.30"),
    "S": Decimal("0.10"),
    "L": Decimal("0.10"),
    "C": Decimal("0.10"),
    "V": Decimal("0.10"),
    "R": Decimal("0.05"),
    "T": Decimal("0.05"),
    "F": Decimal("0.10"),
    "E": Decimal("0.05"),
    "Z": Decimal("0.05"),
}
_RATIO_FLOOR = Decimal("0.05")  # below it a quotient of accuracies says nothing: the axis is absent


class Extras(NamedTuple):
    """The further inputs of kscore/v2; one that was not measured is None, and so is its axis."""

    holdout_accuracy: Decimal | None = None
    teacher_holdout_accuracy: Decimal | None = None
    worst_slice_accuracy: Decimal | None = None
    joules_per_call: Decimal | None = None
    drift: Decimal | None = None


class Composite(NamedTuple):
    """A formula's result: the axes that are present and their weighted mean, four places each."""

    axes: Mapping[str, str]
    composite: str


def kscore_v1(inputs: KscoreInputs) -> Composite:
    """K = 0.40·A + 0.15·S + 0.15·L + 0.15·C + 0.15·V, axes as in docs/format/kscore.md."""
    with localcontext(DECIMALS):
        return _combine(_base_axes(inputs), WEIGHTS_V1)


def kscore_v2(inputs: KscoreInputs, extras: Extras) -> Composite:
    """The formula with R, T, F, E and Z; weights are renormalised over the axes present."""
    with localcontext(DECIMALS):
        axes = _base_axes(inputs)
        accuracy = axes["A"]
        further = {
            "R": _quotient(extras.holdout_accuracy, accuracy),
            "T": _quotient(extras.holdout_accuracy, extras.teacher_holdout_accuracy),
            "F": _quotient(extras.worst_slice_accuracy, accuracy),
            "E": _inverse(extras.joules_per_call, Decimal(100)),
            "Z": None if extras.drift is None else _clamp(1 - extras.drift),
        }
        present = {name: value for name, value in further.items() if value is not None}
        return _combine({**axes, **present}, WEIGHTS_V2)


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


def decide(composite: str, gate_k: str | None, *, floors_passed: bool) -> KscoreGate:
    """The gate: K as written reaches the demanded K, if one is demanded, and every floor passed."""
    k_passed = None
    if gate_k is not None:
        demanded = canonical.parse_decimal(gate_k, where="evaluation.floors.k")
        k_passed = Decimal(composite) >= demanded
    return {
        "k": gate_k,
        "k_passed": k_passed,
        "floors_passed": floors_passed,
        "verdict": "passed" if k_passed is not False and floors_passed else "failed",
    }


def cost_usd_per_call(
    cost: LockEvaluationCostLocal | LockEvaluationCostPerToken, tokens_per_call: str
) -> str:
    """The cost input: 0 for a local base, else the price table times the measured tokens a call.

    Args:
        cost: the lock's ``evaluation.cost``.
        tokens_per_call: mean prompt and answer tokens of a call, from the measurements.
    """
    if cost["kind"] == "local":
        return "0"
    price = canonical.parse_decimal(cost["usd_per_1000_tokens"], where="evaluation.cost")
    tokens = canonical.parse_decimal(tokens_per_call, where="tokens_per_call")
    with localcontext(DECIMALS):
        return canonical.decimal(price * tokens / 1000)


def _base_axes(inputs: KscoreInputs) -> dict[str, Decimal]:
    kibibytes = max(Decimal(1), Decimal(inputs["size_bytes"]) / 1024)
    return {
        "A": _clamp(Decimal(inputs["accuracy"])),
        "S": _clamp(1 - kibibytes.ln() / Decimal(2).ln() / 30),
        "L": 1 / (1 + Decimal(inputs["p50_latency_us"]) / 100_000),
        "C": 1 / (1 + 1000 * Decimal(inputs["cost_usd_per_call"])),
        "V": _clamp(Decimal(inputs["coverage"])),
    }


def _combine(axes: Mapping[str, Decimal], weights: Mapping[str, Decimal]) -> Composite:
    whole = sum((weights[name] for name in axes), Decimal(0))
    total = sum((weights[name] * value for name, value in axes.items()), Decimal(0))
    written = {name: canonical.decimal(value, 4) for name, value in axes.items()}
    return Composite(axes=written, composite=canonical.decimal(total / whole, 4))


def _quotient(value: Decimal | None, reference: Decimal | None) -> Decimal | None:
    if value is None or reference is None or reference < _RATIO_FLOOR:
        return None
    return _clamp(value / reference)


def _inverse(value: Decimal | None, scale: Decimal) -> Decimal | None:
    return None if value is None else 1 / (1 + value / scale)


def _clamp(value: Decimal) -> Decimal:
    return min(max(value, Decimal(0)), Decimal(1))
