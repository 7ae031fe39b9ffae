"""The compositions: what a bundle must pass before it is loaded, run or scored."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kolm.actions.measuring import Measure
from kolm.actions.signing import Trust
from kolm.actions.verification import verify
from kolm.bundle import base_root
from kolm.bundle.reader import Bundle
from kolm.digest import Digest
from kolm.events import Reporter
from kolm.format.names import LOCK
from kolm.models.resolve import locked_base, resolve_base
from kolm.records.verification import Verification
from kolm.registry.check import ALLOW_BELOW_GATE, demand
from kolm.verify.policy import Demands, Policy, policy_of

if TYPE_CHECKING:
    from kolm.records.documents import Lock


class UsableBundle(NamedTuple):
    """A bundle that passed with its base.

    Attributes:
        lock: the bundle's.
        base: the base's folder.
        stamp: by which it is seen whether the base is still what was measured.
        content_id: of the bundle.
        below_gate: it misses what the policy demands of its scores.
    """

    lock: Lock
    base: Path
    stamp: Digest
    content_id: Digest
    below_gate: bool


@contextlib.contextmanager
def usable(
    opened: Bundle,
    *,
    base: str | Path | None,
    measure: Measure,
    trust: Trust,
    policy: Demands,
    allow_below_gate: bool,
    reporter: Reporter,
) -> Iterator[UsableBundle]:
    """Demand that an open bundle passes a policy with the base that it will be used on.

    Until the block ends the base must stay as it was measured.

    Args:
        opened: the bundle; what is used afterwards is read out of it too.
        base: the base's folder or name; without it the one that the lock names is looked for here.
        measure: measures it, once.
        trust: whose keys are believed: a store or its file; without one this user's own.
        policy: what is demanded: a policy or its file; without one the built-in policy.
        allow_below_gate: let it pass without what the policy demands of its scores.
        reporter: hears progress, and a warning if it needed that.

    Raises:
        Refused: the verdict is no, or the base has changed meanwhile.
        Unreadable: what decides could not be looked at.
    """
    lock = opened.document(LOCK)
    folder = _base_folder(lock, base)
    demanded = policy_of(policy)
    warnings: list[str] = []
    once = cache(measure)

    def verify_under(wanted: Policy) -> Verification:
        return verify(opened.container, base=folder, measure=once, trust=trust, policy=wanted)

    with base_root.staying(folder) as stamp:
        reporter.started("verify", None, "checks")
        content_id = demand(
            verify_under,
            demanded,
            below_gate=warnings.append if allow_below_gate else None,
            way_out=ALLOW_BELOW_GATE,
        )
        for warning in warnings:
            reporter.warned(warning)
        reporter.finished("verify")
        yield UsableBundle(lock, folder, stamp, content_id, below_gate=bool(warnings))


def _base_folder(lock: Lock, base: str | Path | None) -> Path:
    """Where the base of a lock lies on this machine.

    Raises:
        Unreadable: it is not here; names the flag to pass.
    """
    if base is not None:
        return Path(base) if Path(base).is_dir() else resolve_base(str(base)).folder
    return locked_base(lock).folder
