"""Verify: what a policy asks, in words, and what in it no bundle could meet on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, get_args

from kolm import roles
from kolm.counting import counted
from kolm.methods import METHODS
from kolm.metrics import METRICS
from kolm.records import documents
from kolm.sign.predicates import WORDS
from kolm.sign.trust import KeyRole, TrustStore
from kolm.verify.policy import MAKERS, ClaimDemand, Policy

if TYPE_CHECKING:
    from collections.abc import Collection

_FLOORS = (*get_args(documents.EvaluationFloorName), "k")
_NEEDS = {
    "base_identity": "verify --base FOLDER, or the name of a base, such as kolm/nano-1",
    "process": "verify --replay all --captures STORE",
}


class Clause(NamedTuple):
    """A clause and what it asks, in words."""

    clause: str
    asks: str


class Problem(NamedTuple):
    """A clause that cannot be met here, why, and what to do."""

    clause: str
    problem: str
    hint: str


def clauses(policy: Policy) -> Iterator[Clause]:
    """What a policy asks, clause by clause."""
    for demand in policy.claims:
        kind = WORDS.get(demand.predicate, demand.predicate)
        which = "" if demand.keys is None else f", of the {len(demand.keys)} listed"
        keys = counted(demand.threshold, "trusted key")
        yield Clause("claims", f"{kind} by {keys} in the role {demand.role}{which}{_when(demand)}")
    if policy.same_signer:
        alone = [demand.predicate for demand in policy.claims if _by_one_maker(demand)]
        kinds = ", ".join(dict.fromkeys(WORDS.get(one, one) for one in alone))
        yield Clause("same_signer", f"one and the same key has signed {kinds or 'them'}")
    for name, told in (
        ("freeze", "these hold"),
        ("base_roots", "the base is one of"),
        ("families", "the base's family is one of"),
        ("methods", "the method is one of"),
        ("metrics", "the metric is one of"),
        ("licenses", "base and eval captures carry one of"),
        ("dossier", "the publisher declares"),
        ("eval_pack_roots", "the cases are those of"),
        ("environment_classes", "the environment class is one of"),
        ("lower_bound_above", "the accuracy's lower bound is above that of"),
        ("reach", "these verdicts are reached"),
    ):
        if listed := getattr(policy, name):
            yield Clause(name, f"{told}: {', '.join(map(str, listed))}")
    if policy.minimum_eval_cases is not None:
        yield Clause("minimum_eval_cases", counted(policy.minimum_eval_cases, "distinct question"))
    for name, least in sorted((policy.floors or {}).items()):
        yield Clause("floors", f"{name.replace('_', ' ')} at least {least}")
    if policy.gate == "passed":
        yield Clause("gate", "the K-score that counts says that the gate passed")
    if policy.text == "published":
        yield Clause("text", "prompts, references and answers are in the bundle")
    for pack in policy.packs or ():
        yield Clause("packs", f"{pack.evaluator[:16]} has scored {pack.pack[:19]}…, and it passed")


def problems(policy: Policy, trust: TrustStore) -> Iterator[Problem]:
    """What cannot be met with these trusted keys, or by anything that this version knows."""
    for demand in policy.claims:
        yield from _too_few(demand, trust)
    if any(demand.stamped for demand in policy.claims) and not trust.authorities:
        yield Problem(
            "claims",
            "a time stamp is demanded, and you trust no authority that makes them",
            "kolm keys authority FILE --as NAME",
        )
    if policy.same_signer and not _somebody_for_all(policy, trust):
        yield Problem(
            "same_signer",
            "no key that you trust has all the roles that the claims ask for",
            "kolm keys trust FILE --as NAME --role builder --role evaluator",
        )
    yield from _unknown("families", policy.families, roles.FAMILIES)
    yield from _unknown("methods", policy.methods, METHODS)
    kinds = [m if isinstance(m, str) else str(m["kind"]) for m in policy.metrics or ()]
    yield from _unknown("metrics", kinds, METRICS)
    yield from _unknown("floors", policy.floors, _FLOORS)


def needs(policy: Policy) -> list[str]:
    """What must be given to `kolm verify` for the verdicts that must be reached."""
    return [_NEEDS[scope] for scope in policy.reach if scope in _NEEDS]


def _when(demand: ClaimDemand) -> str:
    if demand.stamped is None:
        return ""
    after, before = demand.stamped
    times = f"{f' from {after} on' if after else ''}{f' before {before}' if before else ''}"
    return f", time-stamped{times} by an authority that you trust"


def _too_few(demand: ClaimDemand, trust: TrustStore) -> Iterator[Problem]:
    role = KeyRole(demand.role)
    able = {entry.key.keyid for entry in trust.keys if entry.allows(role)}
    if demand.keys is not None:
        able &= set(demand.keys)
    if len(able) < demand.threshold:
        yield Problem(
            "claims",
            f"{WORDS.get(demand.predicate, demand.predicate)} asks for "
            f"{counted(demand.threshold, 'key')} in the role {demand.role}; "
            f"you trust {len(able) or 'none'} that would count",
            f"kolm keys trust FILE --as NAME --role {demand.role}",
        )


def _by_one_maker(demand: ClaimDemand) -> bool:
    """Whether the clause `same_signer` is about it: several keys, or second parties, are not."""
    return demand.threshold == 1 and demand.role in MAKERS


def _somebody_for_all(policy: Policy, trust: TrustStore) -> bool:
    asked = {KeyRole(demand.role) for demand in policy.claims if _by_one_maker(demand)}
    return any(all(entry.allows(role) for role in asked) for entry in trust.keys)


def _unknown(
    clause: str, named: Collection[str] | None, known: Collection[str]
) -> Iterator[Problem]:
    for name in sorted(set(named or ()) - set(known)):
        yield Problem(
            clause, f"this version of kolm knows no {name}", f"one of {', '.join(sorted(known))}"
        )
