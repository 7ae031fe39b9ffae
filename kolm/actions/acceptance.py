"""The compositions: what a compile made, verified before it gets its name.

A bundle that its maker's own `kolm verify` refuses would be found out by whoever gets it. So the
checks run on the finished file while it still lies beside its target.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kolm import paths
from kolm.actions.policies import without_endorsements
from kolm.actions.preparing import Prepared
from kolm.actions.verification import verify
from kolm.bundle.base_root import BaseFacts, demand_stamp
from kolm.errors import Refused
from kolm.records.verification import CheckResult, Verdict
from kolm.registry.check import summary
from kolm.sign.keys import PublicKey
from kolm.sign.trust import KeyRole, TrustedKey, TrustStore
from kolm.verify.policy import Demands, Policy, policy_of

_LAST_OF_THE_BUNDLE = 39  # V01 to V39 ask of the bundle alone
_FIRST_OF_THE_POLICY = 60  # V60 and later ask what the policy demands


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What a made bundle must pass.

    Attributes:
        policy: the demands that its maker names; without one V01 to V39 alone decide.
        trust: whom the maker believes, the signing key among them.
        prepared: with the base and the capture store, which are looked at for a policy.
    """

    policy: Policy | None
    trust: TrustStore
    prepared: Prepared

    def demand(self, made: Path) -> None:
        """Refuse a bundle that does not pass.

        Raises:
            Refused: ``E_COMPILE_NOT_VERIFIED``.
        """
        if self.policy is None:
            report = verify(made, trust=self.trust)
        else:
            report = verify(
                made,
                policy=self.policy,
                trust=self.trust,
                base=self.prepared.base.folder,
                measure=self.measured,
                captures=self.prepared.store_folder,
            )
        refusing = list(self._refusing(report.checks))
        if refusing:
            raise Refused(
                "E_COMPILE_NOT_VERIFIED",
                "kolm verify would refuse what was made, so nothing was sealed",
                expected=f"a bundle that passes V01 to V39{self._named()}",
                found=summary(refusing),
                hint="nothing has to be trained again: change what the checks name, then compile "
                "again; kolm help format/verification says what each check asks",
            )

    def _refusing(self, checks: Iterable[CheckResult]) -> Iterator[CheckResult]:
        unmet = {Verdict.FAILED, Verdict.COULD_NOT_LOOK}
        for check in checks:
            number = int(check.id.removeprefix("V"))
            of_policy = self.policy is not None and number >= _FIRST_OF_THE_POLICY
            of_bundle = number <= _LAST_OF_THE_BUNDLE or self.policy is not None
            if (of_policy and check.verdict in unmet) or (
                of_bundle and check.verdict is Verdict.FAILED
            ):
                yield check

    def measured(self, base: Path) -> BaseFacts:
        """The base as this compile measured it: it is not read a second time."""
        demand_stamp(base, self.prepared.stamp)
        return self.prepared.facts

    def _named(self) -> str:
        return "" if self.policy is None else f" and policy {self.policy.name}"


def acceptance(policy: Demands, *, key: PublicKey, prepared: Prepared) -> Acceptance:
    """What a bundle that `key` signs must pass.

    Raises:
        KolmError: the policy's file or the trust file cannot be read.
    """
    trust = TrustStore.load(paths.config_folder())
    if trust.find(key.keyid) is None:
        own = TrustedKey(name=_free_name(trust), key=key, roles=frozenset(KeyRole))
        trust = trust._replace(keys=(*trust.keys, own))
    named = None if policy is None else without_endorsements(policy_of(policy))
    return Acceptance(policy=named, trust=trust, prepared=prepared)


def _free_name(trust: TrustStore) -> str:
    taken = {entry.name for entry in trust.keys}
    name = "signing-key"
    while name in taken:
        name += "-"
    return name
