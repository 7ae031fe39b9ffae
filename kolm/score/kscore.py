"""The K-score: five measured axes, one composite, one gate.

Stands after the evaluation: `kscore_claim.py` builds the predicate that is signed beside a bundle,
and the verifier applies formula and gate again to the claimed measurements. Existing `.kolm` users
know this formula, so numbers compare; docs/format/kscore.md states it. Logarithms are decimals of
28 digits, correctly rounded, so four written places are the same on every machine.
"""

from collections.abc import Mapping
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, NamedTuple

from kolm import canonical
from kolm.score.rounding import DECIMALS

if TYPE_CHECKING:
    from kolm.records.documents import (
        KscoreGate,
        KscoreInputs,
        LockEvaluationCostLocal,
        LockEvaluationCostPerToken,
    )


LATENCY_CALLS = 30  # the fewest single calls a median may rest on
SIZED_MEMBERS = ("adapter_model.safetensors", "adapter_config.json")  # what answering must load

WEIGHTS_V1 = {
    "A": Decimal("0.40"),
    "S": Decimal("0.15"),
    "L": Decimal("0.15"),
    "C": Decimal("0.15"),
    "V": Decimal("0.15"),
}


class Composite(NamedTuple):
    """A formula's result: the axes that are present and their weighted mean, four places each."""

    axes: Mapping[str, str]
    composite: str


def kscore_v1(inputs: "KscoreInputs") -> Composite:
    """K = 0.40·A + 0.15·S + 0.15·L + 0.15·C + 0.15·V, axes as in docs/format/kscore.md."""
    with localcontext(DECIMALS):
        return combine(base_axes(inputs), WEIGHTS_V1)


def decide(composite: str, gate_k: str | None, *, floors_passed: bool) -> "KscoreGate":
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
    cost: "LockEvaluationCostLocal | LockEvaluationCostPerToken", tokens_per_call: str
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


def base_axes(inputs: "KscoreInputs") -> dict[str, Decimal]:
    """The five axes, within the caller's decimal context."""
    kibibytes = max(Decimal(1), Decimal(inputs["size_bytes"]) / 1024)
    return {
        "A": clamp(Decimal(inputs["accuracy"])),
        "S": clamp(1 - kibibytes.ln() / Decimal(2).ln() / 30),
        "L": 1 / (1 + Decimal(inputs["p50_latency_us"]) / 100_000),
        "C": 1 / (1 + 1000 * Decimal(inputs["cost_usd_per_call"])),
        "V": clamp(Decimal(inputs["coverage"])),
    }


def combine(axes: Mapping[str, Decimal], weights: Mapping[str, Decimal]) -> Composite:
    """The weighted mean of axes, and both as written; weights of absent axes do not count."""
    whole = sum((weights[name] for name in axes), Decimal(0))
    total = sum((weights[name] * value for name, value in axes.items()), Decimal(0))
    written = {name: canonical.decimal(value, 4) for name, value in axes.items()}
    return Composite(axes=written, composite=canonical.decimal(total / whole, 4))


def clamp(value: Decimal) -> Decimal:
    """The value, kept within 0 and 1."""
    return min(max(value, Decimal(0)), Decimal(1))
