"""The compositions: a compile beside the request that it answers, before anything is trained.

What follows from lock and pack is known now; that the answers reach the floors is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kolm.actions.ahead import Ahead
from kolm.actions.findings import Found, failed, ok, warning
from kolm.actions.signing import trust_of
from kolm.errors import Refused
from kolm.verify.checks.policy import accepts
from kolm.verify.requests import no_laxer, signature_problem

if TYPE_CHECKING:
    from kolm.records.documents import Lock
    from kolm.verify.policy import Policy
    from kolm.verify.requests import Request


def look(ahead: Ahead) -> Iterator[Found]:
    """Would this compile answer its request? Each clause that it cannot meet is a failure."""
    request = ahead.prepared.request
    if request is None:
        return
    wrong = list(unmet(request.policy, ahead.lock))
    yield from (failed("request", error) for error in wrong)
    if not wrong:
        yield ok("request", _told(request))
    problem = signature_problem(request, trust_of(None))
    if problem is not None:
        yield warning("request", f"whoever signed the request: {problem.message}")


def _told(request: Request) -> str:
    pack = request.said["pack"]
    scorer = "scored here" if request.pack else "to be scored by its buyer"
    return f"{request.said['name']}: a pack of {pack['captures']:,} captures, {scorer}"


def unmet(policy: Policy, lock: Lock) -> Iterator[Refused]:
    """The clauses of a policy that no bundle of this lock can meet, each with what to change."""
    base, metric = lock["base"], lock["evaluation"]["metric"]
    accepted: tuple[tuple[str, tuple[str, ...] | None, str, str], ...] = (
        ("base_roots", policy.base_roots, "base", base["root"]),
        ("families", policy.families, "base", base["family"]),
        ("licenses", policy.licenses, "base", base["license"]),
        ("methods", policy.methods, "train.method", lock["train"]["method"]["kind"]),
        (
            "environment_classes",
            policy.environment_classes,
            "this machine",
            lock["environment"]["class"],
        ),
    )
    for clause, allowed, key, found in accepted:
        if allowed is not None and found not in allowed:
            yield _refused(clause, key, " or ".join(allowed[:4]), found)
    if policy.metrics is not None and not accepts(policy.metrics, {**metric}):
        wanted = " or ".join(str(entry) for entry in policy.metrics[:4])
        yield _refused("metrics", "evaluation.metric", wanted, str(metric))
    states = _states(lock)
    for word in policy.freeze or ():
        role, _, state = word.partition(" ")
        if states.get(role, state) != state:
            yield _refused("freeze", f"train ({role})", word, f"{role} {states[role]}")
    declared = lock.get("dossier", {})
    missing = [name for name in policy.dossier or () if name not in declared]
    if missing:
        yield _refused("dossier", "dossier", ", ".join(missing), ", ".join(declared) or "none")
    floors: dict[str, object] = {**lock["evaluation"]["floors"]}
    for name, least in (policy.floors or {}).items():
        own = floors.get(name)
        if not no_laxer(name, None if own is None else str(own), least):
            key = f"evaluation.floors.{name}"
            yield _refused("floors", key, f"{least}, or stricter", str(own or "nothing"))


def _states(lock: Lock) -> dict[str, str]:
    """What becomes of the roles that settings decide about; a base's other roles stay frozen."""
    train = lock["train"]
    words = {"full": "trained", "lora": "adapted", "frozen": "frozen"}
    found = {"language": "adapted", "head": "frozen"}
    if train["projector"] is not None:
        found["projector"] = words[train["projector"]]
    if train["freeze"]["vision"] is not None:
        found["vision"] = "frozen" if train["freeze"]["vision"] else "adapted"
    return found


def _refused(clause: str, key: str, expected: str, found: str) -> Refused:
    return Refused(
        "E_REQUEST_UNMET",
        f"the request does not accept this ({clause})",
        where=key,
        expected=expected,
        found=found,
        hint="kolm request show FILE says what it asks",
    )
