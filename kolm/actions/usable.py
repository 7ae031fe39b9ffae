"""The compositions: what a bundle must pass before it is loaded, run or scored."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

from kolm.actions.measuring import Measure
from kolm.actions.signing import Trust
from kolm.actions.verification import verify
from kolm.bundle.container import Container
from kolm.digest import Digest
from kolm.events import Reporter
from kolm.records.verification import Verification
from kolm.registry.check import ALLOW_BELOW_GATE, demand
from kolm.verify.policy import Demands, Policy, policy_of


class UsableBundle(NamedTuple):
    """A bundle that passed, and whether it misses what the policy demands of its scores."""

    content_id: Digest
    below_gate: bool


def demand_usable(
    container: Container,
    *,
    base: Path,
    measure: Measure,
    trust: Trust,
    policy: Demands,
    allow_below_gate: bool,
    reporter: Reporter,
) -> UsableBundle:
    """Demand that an open bundle passes a policy with the base that it will be used on.

    Args:
        container: the bundle; what is used afterwards is read out of it too.
        base: the base's folder.
        measure: measures it, once.
        trust: whose keys are believed: a store or its file; without one this user's own.
        policy: what is demanded: a policy or its file; without one the built-in policy.
        allow_below_gate: let it pass without what the policy demands of its scores.
        reporter: hears a warning if it needed that.

    Raises:
        Refused: the verdict is no.
        Unreadable: what decides could not be looked at.
    """
    demanded = policy_of(policy)
    warnings: list[str] = []
    once = cache(measure)

    def verify_under(wanted: Policy) -> Verification:
        return verify(container, base=base, measure=once, trust=trust, policy=wanted)

    content_id = demand(
        verify_under,
        demanded,
        below_gate=warnings.append if allow_below_gate else None,
        way_out=ALLOW_BELOW_GATE,
    )
    for warning in warnings:
        reporter.warned(warning)
    return UsableBundle(content_id=content_id, below_gate=bool(warnings))
