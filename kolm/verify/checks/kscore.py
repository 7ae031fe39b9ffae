"""V35–V37: do the K-score claims follow from content, and the gate from both?

Latency and cost are measurements: they are taken as the signer states them, and only what follows
from them is recomputed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from kolm.counting import counted
from kolm.format.names import EVALUATION, LOCK, PREDICTIONS
from kolm.records.verification import Finding
from kolm.score.kscore import LATENCY_CALLS, SIZED_MEMBERS
from kolm.score.rounding import ratio
from kolm.sign.predicates import KSCORE
from kolm.verify.check import check
from kolm.verify.claim_states import is_own
from kolm.verify.findings import failed, not_checked, passed
from kolm.verify.subject import Subject

if TYPE_CHECKING:
    from kolm.records.documents import Kscore, KscoreInputs, KscorePack


# The fields of a K-score with the rules of docs/format/kscore.md for what stands there.
_RULES: Final = {
    "axes": "K2",
    "composite": "K2",
    "gate": "K6",
    "inputs": "K1",
    "inputs/cost_usd_per_call": "K5",
    "inputs/latency_calls": "K4",
    "inputs/p95_latency_us": "K4",
    "pack": "K8",
    "rivals": "K9",
}


@check(
    "V35",
    "Are A, V and S of the K-score recomputed from content?",
    reads=(EVALUATION, LOCK, PREDICTIONS),
    about=(KSCORE,),
)
def inputs_are_the_contents(subject: Subject) -> Iterator[Finding]:
    """Accuracy and coverage from the evaluation, size from the members that answering loads.

    For other cases than the bundle's own there is no evaluation to compare with.
    """
    claims = subject.claims.said(KSCORE)
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
    for name, claim in claims:
        own, stated = is_own(claim), claim["inputs"]
        inputs: Mapping[str, object] = stated
        for field, value in computed.items():
            if (own or field == "size_bytes") and inputs[field] != value:
                yield _differs(name, f"inputs/{field}", value, inputs[field])
        yield from _overlap_is_possible(name, claim["pack"], own=own)
        yield from _measurements_are_possible(name, stated)
        for rival in claim.get("rivals", ()):
            from kolm.score.rivals import what_cannot_be  # few claims name one

            settings = subject.lock["evaluation"]
            for field, follows, said in what_cannot_be(rival, stated["accuracy"], settings):
                yield _differs(name, f"rivals/{rival['who']['name']}/{field}", follows, said)
        yield from _cost_is_possible(subject, name, stated["cost_usd_per_call"], own=own)
    told = [f"{field} {value}" for field, value in computed.items()]
    told += [
        f"A {c['axes']['A']}{_by(name, c)}, {_overlap(c['pack'])}"
        for name, c in claims
        if not is_own(c)
    ]
    word = {name for name, claim in claims if not is_own(claim) or not subject.scores_recomputed}
    yield passed(", ".join(told), by=word or None)


def _overlap(pack: KscorePack) -> str:
    """What the evaluator says of training; the pack is not here, so that nobody can count again."""
    stated = pack.get("overlap")
    if stated is None:
        return "overlap with training not stated"
    near = stated["near_twins"]
    more = f"{counted(near or 0, 'more picture')} with a near twin"
    twins = "near twins not looked at" if near is None else more
    return f"{stated['seen_cases']} of {stated['cases']} cases seen in training, {twins}"


def _overlap_is_possible(name: str, pack: KscorePack, *, own: bool) -> Iterator[Finding]:
    stated = pack.get("overlap")
    if stated is None:
        return
    if own:  # V39 and V49 tell it
        yield _differs(name, "pack/overlap", "nothing for the bundle's own cases", stated)
    elif not stated["captures"] <= stated["seen_cases"] <= stated["cases"]:
        expected = "captures at most seen_cases, seen_cases at most cases"
        yield _differs(name, "pack/overlap", expected, stated)


def _measurements_are_possible(name: str, stated: KscoreInputs) -> Iterator[Finding]:
    if stated["latency_calls"] < LATENCY_CALLS:
        yield _differs(name, "inputs/latency_calls", LATENCY_CALLS, stated["latency_calls"])
    if stated["p95_latency_us"] < stated["p50_latency_us"]:
        yield _differs(name, "inputs/p95_latency_us", "at least p50", stated["p95_latency_us"])


def _cost_is_possible(subject: Subject, name: str, stated: str, *, own: bool) -> Iterator[Finding]:
    """A local base costs nothing; another at least one token of prompt and the shortest answer.

    The answers to other cases are not here, so that theirs counts as one token.
    """
    cost = subject.lock["evaluation"]["cost"]
    local = cost["kind"] == "local"
    known = subject.predictions if own and not local else ()
    shortest = min((row["adapter"]["tokens"] for row in known), default=1)
    least = subject.rules.cost_usd_per_call(cost, str(1 + shortest))
    if local and stated != least:
        yield _differs(name, "inputs/cost_usd_per_call", least, stated)
    elif Decimal(stated) < Decimal(least):
        yield _differs(name, "inputs/cost_usd_per_call", f"at least {least}", stated)


@check("V36", "Do the axes and the composite K follow from the inputs?", about=(KSCORE,))
def composite_follows(subject: Subject) -> Iterator[Finding]:
    """The formula of kscore/v1 over the stated inputs."""
    claims = subject.claims.said(KSCORE)
    for name, claim in claims:
        result = subject.rules.kscore(claim["inputs"])
        axes: Mapping[str, object] = claim["axes"]
        for axis, value in result.axes.items():
            if axes[axis] != value:
                yield _differs(name, f"axes/{axis}", value, axes[axis])
        if claim["composite"] != result.composite:
            yield _differs(name, "composite", result.composite, claim["composite"])
    told = "; ".join(f"K {claim['composite']}{_by(name, claim)}" for name, claim in claims)
    yield passed(told, by=(name for name, _ in claims))


@check(
    "V37",
    "Does the gate verdict follow from K and the floors?",
    reads=(EVALUATION, LOCK),
    about=(KSCORE,),
)
def gate_follows(subject: Subject) -> Iterator[Finding]:
    """The gate is applied again to the stated K, the lock's demand and the evaluation's floors.

    Whether the floors passed on other cases than the bundle's own is the signer's word.
    """
    claims = subject.claims.said(KSCORE)
    demanded = subject.lock["evaluation"]["floors"]["k"]
    for name, claim in claims:
        scored = subject.evaluation if is_own(claim) else claim["gate"]
        gate = subject.rules.decide(
            claim["composite"], demanded, floors_passed=scored["floors_passed"]
        )
        stated: Mapping[str, object] = claim["gate"]
        for field, value in gate.items():
            if stated[field] != value:
                yield _differs(name, f"gate/{field}", value, stated[field])
    told = [f"gate {claim['gate']['verdict']}{_by(name, claim)}" for name, claim in claims]
    yield passed("; ".join(told), by=(name for name, _ in claims))


def _by(name: str, claim: Kscore) -> str:
    """Whose word it is, and whether anything here could recompute it."""
    if is_own(claim):
        return f" by {name}"
    return f" as {name} measured on cases that are not in the bundle"


def _differs(name: str, field: str, expected: object, found: object) -> Finding:
    return failed(
        "the K-score claim differs from what content and formula give",
        rule=_RULES.get(field) or _RULES[field.partition("/")[0]],
        where=f"K-score by {name}#/{field}",
        expected=expected,
        found=found,
    )
