"""Every claim of a bundle and what became of it: its form, its signer, its signature, its subject.

Unlike `kolm.sign.claims.authenticate`, which stops at the first thing wrong, this keeps each step,
so that V10 to V15 can each say their part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from kolm.bundle.layout import Claim as StoredClaim
from kolm.digest import Digest
from kolm.errors import KolmError
from kolm.sign import predicates
from kolm.sign.envelope import Envelope, demand_signature, open_envelope
from kolm.sign.statement import Statement, parse
from kolm.sign.trust import Role, TrustedKey, TrustStore

ROLE_OF_PREDICATE: Mapping[str, Role] = {
    predicates.PROVENANCE: Role.BUILDER,
    predicates.MODULES: Role.BUILDER,
    predicates.KSCORE: Role.EVALUATOR,
    predicates.TEST_RESULT: Role.EVALUATOR,
    predicates.VERIFICATION_SUMMARY: Role.VERIFIER,
}

OWN_PACK = "publisher"  # the owner that a K-score names when it scored the bundle's own cases


class ClaimState(NamedTuple):
    """One claim; each error is None when its step went well or was not reached."""

    where: str
    predicate_type: str
    envelope: Envelope | None = None
    statement: Statement | None = None
    signer: TrustedKey | None = None
    form_error: KolmError | None = None
    signature_error: KolmError | None = None
    about_this: bool = False

    @property
    def signed(self) -> bool:
        """Well-formed, about this manifest, and the signature of a key in the trust store."""
        return (
            self.statement is not None
            and self.signer is not None
            and self.signature_error is None
            and self.about_this
        )

    @property
    def in_role(self) -> bool:
        """Signed, and by a key that is believed about this kind of claim."""
        return (
            self.signed
            and self.signer is not None
            and ROLE_OF_PREDICATE.get(self.predicate_type) in self.signer.roles
        )

    @property
    def name(self) -> str:
        """The signer's name in the trust store."""
        return self.signer.name if self.signer else "an unknown key"

    @property
    def claimed_time(self) -> str | None:
        """When the signer says it happened, for the kinds that vouch and say so (RFC 3339, UTC)."""
        if self.statement is None:
            return None
        said = self.statement.predicate
        if self.predicate_type == predicates.PROVENANCE:
            return str(said["runDetails"]["metadata"]["finishedOn"])
        if self.predicate_type == predicates.VERIFICATION_SUMMARY:
            return str(said["timeVerified"]) if said["verificationResult"] == "PASSED" else None
        return None


class ClaimStates(NamedTuple):
    """All claims of a bundle."""

    states: tuple[ClaimState, ...]

    def of_type(self, predicate_type: str) -> tuple[ClaimState, ...]:
        """The claims of one kind, whatever became of them."""
        return tuple(s for s in self.states if s.predicate_type == predicate_type)

    def is_void(self, state: ClaimState) -> bool:
        """Whether the key was revoked and nobody else's earlier claim vouches for the time.

        Times are those that the signers state: RFC 3339 in UTC, so that text order is time order.
        """
        if state.signer is None or state.signer.revoked is None:
            return False
        revoked_on = state.signer.revoked.on
        return not any(
            other.in_role
            and other.signer is not None
            and other.signer.revoked is None
            and other.claimed_time is not None
            and other.claimed_time < revoked_on
            for other in self.states
        )

    def counting(self, predicate_type: str) -> tuple[ClaimState, ...]:
        """The claims of one kind that are believed: signed in role, about this, not void."""
        return tuple(s for s in self.of_type(predicate_type) if s.in_role and not self.is_void(s))

    def said(self, predicate_type: str) -> tuple[tuple[str, dict[str, Any]], ...]:
        """Signer and predicate of each claim of one kind that counts."""
        return tuple(
            (s.name, s.statement.predicate)
            for s in self.counting(predicate_type)
            if s.statement is not None
        )

    def own_scores(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        """The K-score claims that count and are about the bundle's own eval cases.

        Somebody else's pack has another evaluation, which is not in the bundle: such a claim is
        attested by its signer and nothing here can recompute it.
        """
        return tuple(
            (name, said)
            for name, said in self.said(predicates.KSCORE)
            if said["pack"]["owner"] == OWN_PACK
        )


def read_claims(stored: Iterable[StoredClaim], trust: TrustStore, subject: Digest) -> ClaimStates:
    """Read every claim as far as it can be read."""
    return ClaimStates(tuple(_read(claim, trust, subject) for claim in stored))


def _read(claim: StoredClaim, trust: TrustStore, subject: Digest) -> ClaimState:
    where = f"claim {claim.digest}"
    try:
        envelope = open_envelope(claim.data, where=where)
        statement = parse(envelope.payload, where=where)
    except KolmError as error:
        return ClaimState(where=where, predicate_type=claim.predicate_type, form_error=error)
    signer = trust.find(envelope.keyid)
    wrong: KolmError | None = None
    if signer is not None:
        try:
            demand_signature(envelope, signer.key, where=where)
        except KolmError as error:
            wrong = error
    return ClaimState(
        where=where,
        predicate_type=statement.predicate_type,
        envelope=envelope,
        statement=statement,
        signer=signer,
        signature_error=wrong,
        about_this=statement.subject == subject,
    )
