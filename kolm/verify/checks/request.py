"""V68: is the bundle the answer to what a buyer asked for, before it was made?

What the request demands as a policy is asked by the checks of the policy; their answers are part of
this one.
"""

from __future__ import annotations

from collections.abc import Iterator

from kolm.format.names import LOCK, SNAPSHOT
from kolm.records.verification import Finding, Verdict
from kolm.sign.predicates import KSCORE
from kolm.verify.check import Answers
from kolm.verify.demands import SLICE_CASES
from kolm.verify.findings import could_not_look, failed, from_error, passed, unless_equal
from kolm.verify.requests import Request, no_laxer, signature_problem
from kolm.verify.subject import Subject

# Clauses of the policy that are not about signers.
_OF_CONTENT = ("V60", "V61", "V62", "V63", "V64", "V66", "V67")


def bundle_answers(subject: Subject) -> Iterator[Finding]:
    """Signer, digest, nonce, pack and floors; then what the checks of its policy have found."""
    request = subject.auditor.asked()
    problem = signature_problem(request, subject.auditor.trust)
    if problem is not None:
        yield from_error(problem)._replace(rule="R4")
    yield from _lock_names_it(subject, request)
    yield from _floors_are_demanded(subject, request)
    if request.pack is None:
        yield from _nothing_was_seen(subject, request)
    for number in _OF_CONTENT:
        yield from _also(subject, number)
    buyer = subject.auditor.trust.find(request.signed.keyid)
    name = buyer.name if buyer else "an unknown key"
    measured = request.pack is None  # by the buyer, whose word the score then is
    yield passed(f"{request.said['name']}, asked by {name}", by=(name,) if measured else None)


def _lock_names_it(subject: Subject, request: Request) -> Iterator[Finding]:
    lock, nonce = subject.lock, request.said["nonce"]
    drawn, scored = subject.snapshot["rule"].get("nonce"), lock["evaluation"].get("pack", "none")
    pack = request.pack or scored  # beside a sealed pack the publisher scores on any cases
    for expected, found, told, place, rule in (
        (request.digest, lock["request"], "was made for another", f"{LOCK}#/request", "R5"),
        (nonce, lock["nonce"], "was trained by another nonce", f"{LOCK}#/nonce", "R6"),
        (nonce, drawn, "was split by another nonce", f"{SNAPSHOT}#/rule/nonce", "R6"),
        (pack, scored, "is scored on other cases", f"{LOCK}#/evaluation/pack", "R7"),
    ):
        message = f"the bundle {told} than the request asks for"
        yield from unless_equal(expected, found or "none", message, where=place, rule=rule)


def _floors_are_demanded(subject: Subject, request: Request) -> Iterator[Finding]:
    """The gate of the bundle asks at least as much, so that a score on any pack is held to it."""
    floors = subject.lock["evaluation"]["floors"]
    for name, least in (request.policy.floors or {}).items():
        stated = {**floors}.get(name)
        if not no_laxer(name, None if stated is None else str(stated), least):
            yield failed(
                "the bundle's own gate demands less than the request",
                rule="R8",
                where=f"{LOCK}#/evaluation/floors/{name}",
                expected=least,
                found=stated or "nothing",
            )
    most = floors["worst_slice_minimum_cases"]
    if "worst_slice" in (request.policy.floors or {}) and most > SLICE_CASES:
        yield failed(
            "the bundle's own gate passes slices over that the request counts",
            rule="R8",
            where=f"{LOCK}#/evaluation/floors/worst_slice_minimum_cases",
            expected=f"at most {SLICE_CASES}",
            found=most,
        )


def _nothing_was_seen(subject: Subject, request: Request) -> Iterator[Finding]:
    """What the buyer found of the sealed pack in training, by digest and by likeness."""
    for state in subject.claims.holding(KSCORE):  # what was seen stays seen, whatever is newer
        score = state.said(KSCORE)
        if score is None:
            continue
        overlap = score["pack"].get("overlap")
        if overlap is None or score["pack"]["root"] != request.said["pack"]["root"]:
            continue
        seen = max(overlap[k] or 0 for k in ("captures", "images", "near_twins", "seen_cases"))
        if seen:
            yield failed(
                f"{state.name} found cases of the sealed pack, or near twins, in training",
                rule="R9",
                where=f"K-score by {state.name}",
                expected="none",
                found=seen,
            )


def _also(subject: Subject, number: str) -> Iterator[Finding]:
    """A question of the policy that was not answered with yes."""
    answer = subject.results[number]
    told = f"{number}: {answer.detail}"
    if answer.verdict is Verdict.FAILED:
        first = next(f for f in answer.findings if f.verdict is Verdict.FAILED)
        yield failed(told, rule="R8", where=number, expected=first.expected, found=first.found)
    elif answer.verdict is not Verdict.OK:
        yield could_not_look(told, where=number)


ANSWERS: Answers = {"V68": bundle_answers}
