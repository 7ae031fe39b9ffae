"""What a bundle must pass before a registry takes it or hands it out: the verifier's checks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from kolm import digest
from kolm.bundle.container import Container
from kolm.bundle.documents import Documents
from kolm.bundle.held import Held
from kolm.bundle.reader import Bundle
from kolm.bundle.states import StateForm, named_in
from kolm.bundle.streams import container_of
from kolm.digest import Digest
from kolm.errors import Refused, Unreadable
from kolm.format.checkpoint import document_name
from kolm.format.names import LOCK
from kolm.records.verification import CheckResult, Verdict, Verification
from kolm.sign.trust import TrustStore
from kolm.verify.policy import BUILT_IN, Policy
from kolm.verify.subject import Auditor
from kolm.verify.verifier import verify


class Passed(NamedTuple):
    """What a bundle file that passed carries.

    Attributes:
        bundle: the content.
        claims: digests of its claims.
        states: those of its training that it says the registry keeps, with their names.
        most_bytes: no tensors of such a state are larger.
    """

    bundle: Digest
    claims: frozenset[Digest]
    states: tuple[tuple[str, Digest], ...] = ()
    most_bytes: int = 0


# Verify the bundle in a file; raises a KolmError when it does not pass.
Check = Callable[[Held], Passed]

# Hears one sentence that a person must not miss.
Tell = Callable[[str], None]

ALLOW_BELOW_GATE = "--allow-below-gate uses the bundle all the same"
ON_SCORES = "V62"  # the check that holds the scores to the policy
_OF_SCORES = ("gate", "minimum_eval_cases", "lower_bound_above", "floors")  # its clauses

_SHOWN_CHARACTERS = 160  # of both values: longer ones are documents, which nobody compares by eye
_SHOWN_CHECKS = 3  # enough to see what kind of trouble it is; `kolm verify` shows all


def verified(
    *,
    trust: TrustStore,
    now: datetime,
    policy: Policy = BUILT_IN,
    below_gate: Tell | None = None,
    way_out: str = "",
) -> Check:
    """The check that a bundle passes the verifier under a policy; the last two as in `demand`."""

    def check(held: Held) -> Passed:
        container = container_of(held)

        def verify_under(demanded: Policy) -> Verification:
            return verify(container, Auditor(trust=trust, now=now, policy=demanded))

        bundle = demand(verify_under, policy, below_gate=below_gate, way_out=way_out)
        claims = Bundle.of(container).claims
        return Passed(bundle, frozenset(map(digest.of_bytes, claims)), *_states(container))

    return check


def _states(container: Container) -> tuple[tuple[tuple[str, Digest], ...], int]:
    documents = Documents.of(container)
    if documents.document(LOCK)["publish"]["checkpoints"] != "registry":
        return (), 0
    named = tuple((document_name(step), state) for step, state in named_in(documents))
    return named, StateForm.of(documents).most_bytes


def demand(
    verify_under: Callable[[Policy], Verification],
    policy: Policy,
    *,
    below_gate: Tell | None,
    way_out: str = "",
) -> Digest:
    """Demand that a bundle passes a policy, and give its content id.

    Args:
        verify_under: the verification of the one bundle.
        policy: what is demanded.
        below_gate: without it, everything is. With it, a bundle that misses what the policy
            demands of its scores passes all the same, and what it misses is told here: its maker
            may try, score and keep it, knowingly.
        way_out: what to do where `below_gate` can be asked for, told when only that is missed.

    Raises:
        Refused: the verdict is no.
        Unreadable: what decides could not be looked at.
    """
    report = verify_under(policy)
    if below_gate is None or report.conclusions.overall.verdict is Verdict.OK:
        return demand_passed(report, way_out=way_out)
    content = demand_passed(verify_under(without_gate(policy)))
    wrong = (Verdict.FAILED, Verdict.COULD_NOT_LOOK)
    missed = [check for check in report.checks if check.verdict in wrong]
    below_gate(f"THIS BUNDLE IS BELOW THE GATE and is used all the same: {summary(missed)}")
    return content


def without_gate(policy: Policy) -> Policy:
    """The same demands but those on how good the bundle is: its gate, floors and minima.

    Whose bundle it is, what it may change and whether its numbers are true is still demanded.
    """
    left = {name: policy._field_defaults[name] for name in _OF_SCORES}
    return policy._replace(**left, name=f"{policy.name[:50]}-without-gate")


def demand_passed(report: Verification, *, way_out: str = "") -> Digest:
    """Demand a positive verdict, and give the content id that it is about.

    Raises:
        Refused: the verdict is no.
        Unreadable: what decides could not be looked at.
    """
    overall = report.conclusions.overall
    content = report.bundle.digest
    if overall.verdict is Verdict.OK and content is not None:
        return content
    failed = [check for check in report.checks if check.verdict is Verdict.FAILED]
    if overall.verdict is Verdict.FAILED:
        raise Refused(
            "E_BUNDLE_NOT_VERIFIED",
            "the bundle is not accepted",
            expected=f"a bundle that policy {report.policy.name} accepts",
            found=summary(failed) or overall.detail,
            hint=_hint(failed, way_out),
        )
    unseen = [check for check in report.checks if check.verdict is Verdict.COULD_NOT_LOOK]
    raise Unreadable(
        "E_BUNDLE_NOT_CHECKED",
        "the bundle is undecided: not all that the answer needs is here",
        expected=f"all that policy {report.policy.name} asks for",
        found=summary(unseen) or overall.detail,
        hint="kolm verify FILE shows every check, with --base DIR those of the base too; "
        "kolm keys list shows whom you trust",
    )


def _hint(failed: list[CheckResult], way_out: str) -> str:
    shown = "kolm verify FILE shows every check"
    if [check.id for check in failed] != [ON_SCORES]:
        return shown
    return "; ".join(
        filter(None, (shown, "kolm policy new writes a --policy of your own", way_out))
    )


def summary(checks: list[CheckResult]) -> str:
    """The first checks by number, each with what it found, demanded and seen."""
    shown = "; ".join(f"{check.id} {_told(check)}" for check in checks[:_SHOWN_CHECKS])
    more = len(checks) - _SHOWN_CHECKS
    return f"{shown}; and {more} more" if more > 0 else shown


def _told(check: CheckResult) -> str:
    """The first thing that decided a check, and how many more there are."""
    decided = [finding for finding in check.findings if finding.verdict is check.verdict]
    if not decided:
        return check.detail
    first, more = decided[0], len(decided) - 1 + check.left_out
    told = first.detail
    if first.expected and len(first.expected + (first.found or "")) > _SHOWN_CHARACTERS:
        told += f" ({first.where})" if first.where else ""
    elif first.expected:
        told += f": expected {first.expected}, found {first.found or 'nothing'}"
    return f"{told} (and {more} more)" if more else told
