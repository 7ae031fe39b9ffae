"""What is demanded of the scores, what was observed, and who demands it.

The publisher's floors stand in the lock and decide the gate; they bind nobody else. The auditor's
minima stand in the policy and are held against numbers made again here: where the references were
withheld, nothing was observed.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from kolm.format.names import EVALUATION, LINES, LOCK, PREDICTIONS
from kolm.records.verification import Bound, Demand, Evidence, PackScore, Verdict
from kolm.score.floors import BASE_P, is_ahead, meets
from kolm.sign.predicates import KSCORE
from kolm.verify.claim_states import OWN_PACK
from kolm.verify.findings import shorten
from kolm.verify.subject import Subject

if TYPE_CHECKING:
    from kolm.records.documents import Kscore


PUBLISHER, POLICY = "publisher", "policy"
SLICE_CASES = 30  # the default of a spec's worst_slice_minimum_cases


def score_demands(subject: Subject) -> tuple[Demand, ...]:
    """Every demand on the scores: the publisher's floors, then the policy's clauses.

    None where a document that they need could not be read.
    """
    needed = (EVALUATION, LINES, LOCK, PREDICTIONS)
    if subject.manifest_error is not None or any(map(subject.documents.obstacle, needed)):
        return ()
    return (*_of_publisher(subject), *_of_policy(subject))


def _of_publisher(subject: Subject) -> Iterator[Demand]:
    evidence = Evidence.RECOMPUTED if subject.scores_recomputed else Evidence.ATTESTED
    for floor in subject.evaluation["floors"]:
        if floor["demanded"] is None:  # switched off: the publisher demands nothing here
            continue
        yield _floor(PUBLISHER, floor["name"], floor["demanded"])._replace(
            observed=floor["observed"],
            verdict=Verdict.OK if floor["passed"] else Verdict.FAILED,
            evidence=evidence,
        )
    scores = measured_scores(subject)
    if scores:
        _, claim = worst(scores)
        if claim["gate"]["k"] is None:
            return
        yield _floor(PUBLISHER, "k", claim["gate"]["k"])._replace(
            observed=claim["composite"],
            verdict=Verdict.OK if claim["gate"]["k_passed"] else Verdict.FAILED,
            evidence=Evidence.ATTESTED,
        )


def _of_policy(subject: Subject) -> Iterator[Demand]:
    policy, evaluation = subject.auditor.policy, subject.evaluation
    least_cases = policy.minimum_eval_cases
    if least_cases is not None:
        asked = evaluation["distinct_questions"]
        demand = _floor(POLICY, "distinct_questions", str(least_cases))
        yield _answered(subject, demand, str(asked), holds=asked >= least_cases)
    low = evaluation["adapter"]["interval"]["low"]
    controls = {
        "base": evaluation["base"],
        "blind": evaluation["blind"],
        "majority": evaluation["majority"],
        "swapped": evaluation["swapped"],
    }
    for control in policy.lower_bound_above or ():
        beside = controls[control]
        if beside is None or (control == "blind" and not evaluation["images"]):
            continue  # without pictures a blind run is the adapter's own, if there is one
        least = beside["accuracy"]
        demand = Demand(
            name=f"lower_bound_above_{control}",
            by=POLICY,
            demanded=f"above {least}",
            bound=Bound(">", least),
        )
        yield _answered(subject, demand, low, holds=Decimal(low) > Decimal(least))
    observed, ahead = _observed(subject), _ahead(subject)
    for name, value in (policy.floors or {}).items():
        demand = _floor(POLICY, name, value)
        # What was observed counts, not what the publisher demanded.
        if name in observed:
            holds = meets(name, Decimal(value), Decimal(observed[name]), ahead=ahead)
            demand = _answered(subject, demand, observed[name], holds=holds)
        yield demand


def _floor(by: str, name: str, value: str) -> Demand:
    """The demand of a floor, nothing observed yet."""
    if name == BASE_P:
        words = f"below {value}, with more cases that only the adapter wins, and no lower mean"
        return Demand(name=name, by=by, demanded=words)
    return Demand(name=name, by=by, demanded=f"at least {value}", bound=Bound(">=", value))


def _answered(subject: Subject, demand: Demand, observed: str, *, holds: bool) -> Demand:
    """A clause and whether it holds, or that nobody could look: behind withheld references."""
    seen = subject.scores_recomputed
    verdict = Verdict.OK if holds else Verdict.FAILED
    return demand._replace(
        observed=observed,
        verdict=verdict if seen else Verdict.COULD_NOT_LOOK,
        evidence=Evidence.RECOMPUTED if seen and demand.name != "k" else Evidence.ATTESTED,
    )


def _ahead(subject: Subject) -> bool:
    evaluation = subject.evaluation
    paired, means = evaluation["paired"], (evaluation["adapter"], evaluation["base"])
    return is_ahead(
        paired["adapter_only"], paired["base_only"], *(mean["accuracy"] for mean in means)
    )


def _observed(subject: Subject) -> dict[str, str]:
    """The observed value of each floor, over every slice of `SLICE_CASES` cases or more.

    The publisher's own minimum may leave slices out of theirs.
    """
    evaluation = subject.evaluation
    observed: dict[str, str] = {
        floor["name"]: floor["observed"]
        for floor in evaluation["floors"]
        if floor["observed"] is not None
    }
    scores = measured_scores(subject)
    if scores:
        observed["k"] = worst(scores)[1]["composite"]
    if "worst_slice" in observed:
        slices = [s["accuracy"] for s in evaluation["slices"] if s["cases"] >= SLICE_CASES]
        observed["worst_slice"] = min([observed["worst_slice"], *slices], key=Decimal)
    return observed


def scored_packs(subject: Subject) -> tuple[PackScore, ...]:
    """Who scored the bundle on which cases, the bundle's own first: the newest claim of each, and
    of several from one second the one that says least for the bundle."""
    found: dict[tuple[str, str], PackScore] = {}
    for score in _pack_scores(subject):
        known = found.setdefault((score.keyid, score.pack), score)
        found[score.keyid, score.pack] = max(known, score, key=_rank)
    return tuple(sorted(found.values(), key=lambda score: (score.owner != OWN_PACK, *score)))


def _rank(score: PackScore) -> tuple[str, bool, Decimal]:
    return score.measured_on, score.gate != "passed", -Decimal(score.composite)


def _pack_scores(subject: Subject) -> Iterator[PackScore]:
    for state in subject.claims.counting(KSCORE):
        said = state.said(KSCORE)
        if state.signer is None or said is None:
            continue
        yield PackScore(
            by=state.name,
            keyid=state.signer.key.keyid,
            owner=shorten(said["pack"]["owner"]),
            pack=said["pack"]["root"],
            accuracy=said["inputs"]["accuracy"],
            composite=said["composite"],
            gate=said["gate"]["verdict"],
            measured_on=said["measured_on"],
        )


def failed_elsewhere(subject: Subject) -> str:
    """Who brought cases that the bundle failed on, as they say; empty if nobody."""
    names = {
        score.by
        for score in scored_packs(subject)
        if score.owner != OWN_PACK and score.gate != "passed"
    }
    return f"the gate FAILED on cases that {', '.join(sorted(names))} brought" if names else ""


def measured_scores(subject: Subject) -> tuple[tuple[str, Kscore], ...]:
    """The K-scores whose measurements count: one key's if the policy names it, else all."""
    wanted = subject.auditor.policy.measurements
    if wanted == "worst":
        return subject.claims.own_scores()
    counting = subject.claims.counting(KSCORE)
    names = {s.name for s in counting if s.signer is not None and s.signer.key.keyid == wanted}
    return tuple(pair for pair in subject.claims.own_scores() if pair[0] in names)


def worst(claims: tuple[tuple[str, Kscore], ...]) -> tuple[str, Kscore]:
    """The claim whose measurements count by default: a failed gate first, then the lowest K."""
    return min(
        claims,
        key=lambda pair: (pair[1]["gate"]["verdict"] == "passed", Decimal(pair[1]["composite"])),
    )
