"""V35–V37: do the K-score claims follow from content, and the gate from both?

Latency and cost are measurements: they are taken as the signer states them, and only what follows
from them is recomputed.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from kolm.errors import KolmError
from kolm.records import codec
from kolm.records.kscore import Inputs
from kolm.records.verification import Finding
from kolm.score.kscore import LATENCY_CALLS, SIZED_MEMBERS, decide, kscore_v1
from kolm.score.rounding import ratio
from kolm.sign.predicates import KSCORE
from kolm.verify.check import check
from kolm.verify.findings import failed, from_error, not_checked, passed
from kolm.verify.subject import EVALUATION, LOCK, Subject

NONE = "no K-score claim of a trusted key about the bundle's own cases"


@check("V35", "Are A, V and S of the K-score recomputed from content?", reads=(EVALUATION, LOCK))
def inputs_are_the_contents(subject: Subject) -> Iterator[Finding]:
    """Accuracy and coverage from the evaluation, size from the members that answering loads."""
    claims = subject.claims.own_scores()
    if not claims:
        yield not_checked(NONE)
        return
    missing = [name for name in SIZED_MEMBERS if name not in subject.documents]
    if missing:
        yield not_checked(f"{missing[0]} is not in the bundle")
        return
    evaluation = subject.evaluation
    computed = {
        "accuracy": evaluation["adapter"]["accuracy"],
        "coverage": ratio(evaluation["covered"], evaluation["cases"]),
        "size_bytes": sum(len(subject.documents.raw(name)) for name in SIZED_MEMBERS),
    }
    local = subject.lock["evaluation"]["cost"]["kind"] == "local"
    for name, claim in claims:
        stated = claim["inputs"]
        for field, value in computed.items():
            if stated[field] != value:
                yield _differs(name, f"inputs/{field}", value, stated[field])
        if stated["latency_calls"] < LATENCY_CALLS:
            yield _differs(name, "inputs/latency_calls", LATENCY_CALLS, stated["latency_calls"])
        if stated["p95_latency_us"] < stated["p50_latency_us"]:
            yield _differs(name, "inputs/p95_latency_us", "at least p50", stated["p95_latency_us"])
        if local and stated["cost_usd_per_call"] != "0":
            yield _differs(name, "inputs/cost_usd_per_call", "0", stated["cost_usd_per_call"])
    yield passed(", ".join(f"{field} {value}" for field, value in computed.items()))


@check("V36", "Do the axes and the composite K follow from the inputs?", attested_by=(KSCORE,))
def composite_follows(subject: Subject) -> Iterator[Finding]:
    """The formula of kscore/v1 over the stated inputs."""
    claims = subject.claims.said(KSCORE)
    if not claims:
        yield not_checked(NONE)
        return
    for name, claim in claims:
        result = kscore_v1(codec.from_document(Inputs, claim["inputs"]))
        for axis, value in result.axes.items():
            if claim["axes"][axis] != value:
                yield _differs(name, f"axes/{axis}", value, claim["axes"][axis])
        if claim["composite"] != result.composite:
            yield _differs(name, "composite", result.composite, claim["composite"])
    yield passed("; ".join(f"K {claim['composite']} by {name}" for name, claim in claims))


@check(
    "V37",
    "Does the gate verdict follow from K and the floors?",
    reads=(EVALUATION, LOCK),
    attested_by=(KSCORE,),
)
def gate_follows(subject: Subject) -> Iterator[Finding]:
    """The gate is applied again to the stated K, the lock's demand and the evaluation's floors."""
    claims = subject.claims.own_scores()
    if not claims:
        yield not_checked(NONE)
        return
    demanded = subject.lock["evaluation"]["floors"]["k"]
    for name, claim in claims:
        try:
            gate = codec.to_document(
                decide(
                    claim["composite"],
                    demanded,
                    floors_passed=subject.evaluation["floors_passed"],
                )
            )
        except KolmError as error:
            yield from_error(error)
            continue
        for field, value in gate.items():
            if claim["gate"][field] != value:
                yield _differs(name, f"gate/{field}", value, claim["gate"][field])
    yield passed("; ".join(f"gate {claim['gate']['verdict']} by {name}" for name, claim in claims))


def worst(claims: tuple[tuple[str, dict[str, Any]], ...]) -> tuple[str, dict[str, Any]]:
    """The claim whose measurements count by default: a failed gate first, then the lowest K."""
    return min(
        claims,
        key=lambda pair: (pair[1]["gate"]["verdict"] == "passed", Decimal(pair[1]["composite"])),
    )


def _differs(name: str, field: str, expected: object, found: object) -> Finding:
    return failed(
        "the K-score claim states something else than content and formula give",
        where=f"K-score by {name}#/{field}",
        expected=expected,
        found=found,
    )
