"""V60–V67: does what the bundle is meet the clauses of the auditor's policy?

Clauses about claims are V13 and V14. A clause that is absent demands nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from kolm.format.names import CASES, EVALUATION, LINES, LOCK, MODULES, PREDICTIONS
from kolm.metrics import metric_of
from kolm.records.verification import Demand, Finding, Verdict
from kolm.sign.predicates import MODULES as MODULES_CLAIM
from kolm.sign.predicates import PROVENANCE
from kolm.verify.check import check
from kolm.verify.conclusions import conclude_scopes
from kolm.verify.demands import POLICY, measured_scores, score_demands, scored_packs, worst
from kolm.verify.findings import NOTHING, could_not_look, failed, passed
from kolm.verify.policy import PackDemand
from kolm.verify.subject import WITHHELD, Subject


@check("V60", "Is the base one that the policy accepts?", reads=(LOCK,))
def base_is_accepted(subject: Subject) -> Iterator[Finding]:
    """Root, family and licence."""
    policy, base = subject.auditor.policy, subject.lock["base"]
    place = f"{LOCK}#/base"
    yield from _one_of(policy.base_roots, base["root"], "base_roots", f"{place}/root")
    yield from _one_of(policy.families, base["family"], "families", f"{place}/family")
    yield from _one_of(policy.licenses, base["license"], "licenses", f"{place}/license")
    demanded = policy.base_roots or policy.families or policy.licenses
    if not demanded:
        yield passed(NOTHING)
        return
    seen = subject.results["V41"].verdict is Verdict.OK and not policy.licenses
    yield passed(
        f"{base['family']}, root {base['root']}; the publisher calls it {base['id']!r} and states "
        f"the licence {base['license'] or 'none'!r}",
        by=None if seen else subject.claims.names(PROVENANCE, MODULES_CLAIM),
    )


@check(
    "V61",
    "Are method and freeze rules ones that the policy accepts?",
    needs=("V20",),
    reads=(LOCK, MODULES),
)
def method_is_accepted(subject: Subject) -> Iterator[Finding]:
    """Words such as 'vision frozen' are computed again from recomputed roles."""
    policy, method = subject.auditor.policy, subject.lock["train"]["method"]["kind"]
    yield from _one_of(policy.methods, method, "methods", f"{LOCK}#/train/method/kind")
    words = subject.rules.claimed_words(
        (subject.role_of(row).value, row["state"]) for row in subject.modules
    )
    for word in policy.freeze or ():
        if word not in words:
            role, has = word.split()[0], {told.split()[0] for told in words}
            yield failed(
                "a freeze rule of the policy does not hold"
                + ("" if role in has else f": the base has no {role} role"),
                rule="freeze",
                where=MODULES,
                expected=word,
                found=", ".join(words),
            )
    yield passed(", ".join([method, *words]) if policy.methods or policy.freeze else NOTHING)


@check(
    "V62",
    "Do evaluation and gate meet the policy?",
    reads=(LOCK, EVALUATION, PREDICTIONS, LINES),
)
def evaluation_is_accepted(subject: Subject) -> Iterator[Finding]:
    """Metric, number of cases, floors on observed numbers, K, gate and published text."""
    policy, evaluation = subject.auditor.policy, subject.evaluation
    place = f"{EVALUATION}#"
    if policy.metrics is not None and not accepts(policy.metrics, evaluation["metric"]):
        yield failed(
            "the policy does not accept the metric, or is stricter",
            rule="metrics",
            where=f"{place}/metric",
            expected=" or ".join(_words_of(metric) for metric in policy.metrics[:4]),
            found=_words_of(evaluation["metric"]),
        )
    yield from _one_of(
        policy.eval_pack_roots, subject.pack_root, "eval_pack_roots", f"{LINES} (eval)"
    )
    for demand in score_demands(subject):
        if demand.by == POLICY:
            yield from _unmet(subject, demand)
    yield from _gate_holds(subject)
    if policy.text == "published" and CASES not in subject.documents:
        yield failed(
            "the policy demands published text, and it was withheld", rule="text", where=CASES
        )
    yield passed(_met(subject), by=_on_whose_word(subject))


def accepts(accepted: Iterable[str | Mapping[str, object]], stated: Mapping[str, object]) -> bool:
    """Whether the metric is one of these kinds, or no laxer than one of these."""
    metric = metric_of(stated)
    return any(
        entry == metric.kind
        if isinstance(entry, str)
        else entry["kind"] == metric.kind and metric.no_laxer_than(metric_of(entry))
        for entry in accepted
    )


def _words_of(metric: str | Mapping[str, object]) -> str:
    if isinstance(metric, str):
        return metric
    options = [f"{name} {value}" for name, value in metric.items() if name != "kind"]
    return ", ".join([str(metric["kind"]), *options])


def _unmet(subject: Subject, demand: Demand) -> Iterator[Finding]:
    """A clause that is missed is a no; one on numbers that nobody made again is no answer."""
    name = demand.name.replace("_", " ")
    if demand.verdict is Verdict.FAILED:
        yield failed(
            f"{name}: less than the policy demands",
            rule=demand.name,
            where=EVALUATION,
            expected=demand.demanded,
            found=demand.observed or "",
        )
    elif demand.verdict is Verdict.COULD_NOT_LOOK:
        seen = f"the scores behind {demand.observed} were not made again here (V32, V33)"
        yield could_not_look(
            f"{name}: the policy demands {demand.demanded}, and "
            f"{seen if demand.observed else 'nothing was observed'}",
            where=EVALUATION,
            code="E_SCORES_WITHHELD" if subject.cases_obstacle() == WITHHELD else "",
        )


def _met(subject: Subject) -> str:
    """What the policy demands of the scores, and what was observed."""
    policy = subject.auditor.policy
    met = [
        f"{demand.name.replace('_', ' ')} {demand.observed} ({demand.demanded})"
        for demand in score_demands(subject)
        if demand.by == POLICY
    ]
    if policy.gate == "passed":
        met.append("gate passed")
    return ", ".join(met) or NOTHING


def _on_whose_word(subject: Subject) -> set[str] | None:
    """K and the gate hold measurements of their signers."""
    policy = subject.auditor.policy
    if policy.gate != "passed" and "k" not in (policy.floors or {}):
        return None
    return {name for name, _ in measured_scores(subject)}


def _gate_holds(subject: Subject) -> Iterator[Finding]:
    scores, policy = measured_scores(subject), subject.auditor.policy
    if policy.gate != "passed":
        return
    if not scores:
        yield could_not_look("no K-score that counts says whether the gate passed")
        return
    name, claim = worst(scores)
    if claim["gate"]["verdict"] != "passed":
        failing: list[str] = [
            f["name"] for f in subject.evaluation["floors"] if f["passed"] is False
        ]
        if claim["gate"]["k_passed"] is False:
            failing.append(f"K {claim['composite']} below {claim['gate']['k']}")
        yield failed(
            "the gate failed",
            rule="gate",
            where=f"K-score by {name}",
            expected="passed",
            found=", ".join(failing) or "failed",
            code="E_GATE_FAILED",
        )


@check("V63", "Are the licences of the data ones that the policy accepts?", reads=(LOCK,))
def licences_are_accepted(subject: Subject) -> Iterator[Finding]:
    """Eval captures carry their licence; training captures are digests only."""
    allowed = subject.auditor.policy.licenses
    if allowed is None:
        yield passed(NOTHING)
        return
    if subject.cases_obstacle() is not None:
        yield could_not_look("the licences of the captures are withheld with the text", where=CASES)
        return
    for number, (_, row) in enumerate(subject.case_rows(), 1):
        if row["license"] not in allowed:
            yield failed(
                "an eval case carries a licence that the policy does not accept",
                where=f"{CASES}:{number}",
                expected=", ".join(allowed),
                found=row["license"] or "none stated",
            )
    yield passed(
        "every eval case, as it states; training captures are not in the bundle",
        by=subject.claims.names(PROVENANCE),
    )


@check("V64", "Is the environment class one that the policy accepts?", reads=(LOCK,))
def environment_is_accepted(subject: Subject) -> Iterator[Finding]:
    """By the digest that V08 has recomputed."""
    allowed = subject.auditor.policy.environment_classes
    found = subject.lock["environment"]["class"]
    yield from _one_of(allowed, found, "environment_classes", f"{LOCK}#/environment/class")
    if allowed is None:
        yield passed(NOTHING)
        return
    yield passed(found, by=subject.claims.names(PROVENANCE))


@check("V65", "Are the verdicts reached that the policy demands?")
def verdicts_are_reached(subject: Subject) -> Iterator[Finding]:
    """A demanded verdict that nobody reached is 'could not look', never a silent pass."""
    scopes = conclude_scopes(subject)
    for name in subject.auditor.policy.reach:
        reached = scopes[name]
        if reached.verdict in (Verdict.COULD_NOT_LOOK, Verdict.NOT_CHECKED):
            yield could_not_look(
                f"the policy demands {name}: {reached.detail}", code="E_VERDICT_NOT_REACHED"
            )
    demanded = ", ".join(subject.auditor.policy.reach)
    yield passed(f"demanded: {demanded}" if demanded else NOTHING)


@check("V66", "Did the evaluators that the policy names pass it on the packs that it names?")
def named_packs_passed(subject: Subject) -> Iterator[Finding]:
    """The newest K-score of each; what it says was measured is its signer's word."""
    demanded = subject.auditor.policy.packs
    if demanded is None:
        yield passed(NOTHING)
        return
    scored = {(score.keyid, score.pack): score for score in scored_packs(subject)}
    for demand in demanded:
        score = scored.get((demand.evaluator, demand.pack))
        if score is None:
            yield from _no_score(subject, demand)
        elif score.gate != "passed":
            yield failed(
                f"{score.by} measured that the gate fails on this pack",
                where=f"K-score by {score.by}",
                expected=f"passed on {demand.pack}",
                found=f"accuracy {score.accuracy}, K {score.composite}, on {score.measured_on}",
                code="E_GATE_FAILED",
            )
    names = {scored[d.evaluator, d.pack].by for d in demanded if (d.evaluator, d.pack) in scored}
    yield passed(f"{len(demanded)} demanded", by=names)


@check("V67", "Does the publisher declare what the policy demands?", reads=(LOCK,))
def declarations_are_there(subject: Subject) -> Iterator[Finding]:
    """What is declared is the publisher's word; only that it is there can be seen."""
    demanded = subject.auditor.policy.dossier
    if demanded is None:
        yield passed(NOTHING)
        return
    declared = subject.lock.get("dossier", {})
    for name in sorted(set(demanded) - declared.keys()):
        yield failed(
            "the policy demands a declaration that nobody made",
            rule="dossier",
            where=f"{LOCK}#/dossier",
            expected=name,
            found=", ".join(declared) or "none",
            code="E_DOSSIER_NOT_STATED",
        )
    yield passed(", ".join(demanded), by=subject.claims.names(PROVENANCE))


def _no_score(subject: Subject, demand: PackDemand) -> Iterator[Finding]:
    place = f"a K-score of {demand.evaluator} on {demand.pack}"
    if subject.auditor.trust.find(demand.evaluator) is None:
        yield could_not_look(
            "the policy names an evaluator whose key is not in the trust store",
            where=place,
            code="E_KEY_NOT_TRUSTED",
        )
        return
    yield failed(
        "the policy demands a score that is not there",
        expected=place,
        code="E_CLAIM_MISSING",
    )


def _one_of(
    allowed: Iterable[str] | None, found: str, clause: str, where: str
) -> Iterator[Finding]:
    if allowed is not None and found not in allowed:
        yield failed(
            f"the policy's {clause} do not accept this",
            rule=clause,
            where=where,
            expected=" or ".join(list(allowed)[:4]),
            found=found,
        )
