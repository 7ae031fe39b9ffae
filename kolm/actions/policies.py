"""The compositions: policies to start from, and what one asks before any bundle is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kolm import outputs
from kolm.actions.signing import Trust, trust_of
from kolm.errors import Usage
from kolm.sign import predicates
from kolm.verify import foresight
from kolm.verify.policies import PURPOSES, template
from kolm.verify.policy import Policy, load_policy

if TYPE_CHECKING:
    from kolm.records.answers import PolicyCheck


def new_policy(target: str | Path, *, purpose: str, force: bool = False) -> None:
    """Write a policy to start from, as YAML with what each clause is for.

    Args:
        target: the file.
        purpose: one of `kolm.verify.policies.PURPOSES`.
        force: replace another file.

    Raises:
        Usage: ``E_POLICY_PURPOSE``, or ``E_TARGET_EXISTS``.
    """
    if purpose not in PURPOSES:
        raise Usage(
            "E_POLICY_PURPOSE",
            "there is no policy for this purpose",
            expected=", ".join(PURPOSES),
            found=purpose,
        )
    outputs.write(Path(target), template(purpose), force=force)


def check_policy(file: str | Path, *, trust: Trust = None) -> PolicyCheck:
    """What a policy asks, in words, and what in it nothing could meet here.

    Args:
        file: the policy.
        trust: whose keys are believed: a store or its file; without one this user's own.

    Raises:
        Unreadable: it is no policy.
    """
    policy = load_policy(Path(file))
    believed = trust_of(trust)
    return {
        "name": policy.name,
        "digest": policy.digest,
        "clauses": [{"clause": clause, "asks": asks} for clause, asks in foresight.clauses(policy)],
        "needs": foresight.needs(policy),
        "problems": [
            {"clause": clause, "problem": problem, "hint": hint}
            for clause, problem, hint in foresight.problems(policy, believed)
        ],
    }


def without_endorsements(policy: Policy) -> Policy:
    """The same demands but those on endorsements, which others make once the bundle is there."""
    left = tuple(demand for demand in policy.claims if demand.predicate != predicates.ENDORSEMENT)
    return policy._replace(claims=left)
