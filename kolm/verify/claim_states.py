"""Every claim of a bundle and what became of it: its form, its signer, its signature, its subject.

Unlike `kolm.sign.claims.authenticate`, which stops at the first thing wrong, this keeps each step,
so that V10 to V15 can each say their part.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from kolm import digest
from kolm.bundle.layout import StoredClaim
from kolm.digest import Digest
from kolm.errors import KolmError
from kolm.format.names import Name
from kolm.records.verification import SignedBy
from kolm.sign import predicates
from kolm.sign.envelope import Envelope, demand_signature, open_envelope
from kolm.sign.predicates import instant
from kolm.sign.statement import Statement, parse
from kolm.sign.trust import KeyRole, TrustedKey, TrustStore

if TYPE_CHECKING:
    from kolm.records.documents import Kscore
    from kolm.sign.timestamps import Stamp


D = TypeVar("D")

# The kind of an audit's test result, which has the predicate type of the gate's.
AUDIT_TESTS = "test result of an audit"

ROLE_OF_PREDICATE: Mapping[str, KeyRole] = {
    predicates.PROVENANCE: KeyRole.BUILDER,
    predicates.MODULES: KeyRole.BUILDER,
    predicates.COMPUTE: KeyRole.BUILDER,
    predicates.KSCORE: KeyRole.EVALUATOR,
    predicates.TEST_RESULT: KeyRole.EVALUATOR,
    predicates.VERIFICATION_SUMMARY: KeyRole.VERIFIER,
    predicates.EVAL_RESULT: KeyRole.VERIFIER,
    AUDIT_TESTS: KeyRole.VERIFIER,
    predicates.ENDORSEMENT: KeyRole.ENDORSER,
}

# Claims about a bundle that is there: none is older than the end of its build.
_AFTER_THE_BUILD = (
    predicates.VERIFICATION_SUMMARY,
    predicates.EVAL_RESULT,
    predicates.ENDORSEMENT,
)

OWN_PACK = "publisher"  # the owner that a K-score names when it scored the bundle's own cases


class ClaimState(NamedTuple):
    """One claim; each error is None when its step went well or was not reached."""

    digest: Digest
    predicate_type: str
    envelope: Envelope | None = None
    statement: Statement | None = None
    signer: TrustedKey | None = None
    form_error: KolmError | None = None
    signature_error: KolmError | None = None
    stamp: "Stamp | None" = None
    stamp_error: KolmError | None = None
    about_this: bool = False

    @property
    def where(self) -> str:
        """Where a finding about it stands."""
        return f"claim {self.digest}"

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
            and ROLE_OF_PREDICATE.get(self.kind) in self.signer.roles
        )

    @property
    def kind(self) -> str:
        """Its predicate type, but `AUDIT_TESTS` for a test result over a policy (C14)."""
        tests = self.said(predicates.TEST_RESULT)
        of_audit = tests is not None and any("uri" in item for item in tests["configuration"])
        return AUDIT_TESTS if of_audit else self.predicate_type

    @property
    def name(self) -> str:
        """The signer's name in the trust store."""
        return self.signer.name if self.signer else "an unknown key"

    @property
    def keyid(self) -> str:
        """The id of the key that it names, empty if none could be read."""
        return self.envelope.keyid if self.envelope else ""

    @property
    def failed_audit(self) -> bool:
        """Whether it is an audit's word that this bundle did not pass, or misses a demand on its
        scores."""
        summary, result = (
            self.said(predicates.VERIFICATION_SUMMARY),
            self.said(predicates.EVAL_RESULT),
        )
        if result is not None:
            return not all(demand["passed"] for demand in result["claims"])
        return summary is not None and summary["verificationResult"] != "PASSED"

    def said(self, kind: Name[D]) -> D | None:
        """What it says, if it is of this kind and could be read."""
        return None if self.statement is None else self.statement.of(kind)

    @property
    def stated_at(self) -> str:
        """The latest time that it states, empty if none.

        Times are those that the signers state: RFC 3339 in UTC, so that text order is time order.
        """
        if self.statement is None:
            return ""
        kind, said = self.statement.predicate_type, self.statement.predicate
        return max((stated for _, stated in predicates.stated_times(kind, said)), default="")

    @property
    def dated_ahead(self) -> bool:
        """Whether a trusted authority saw it more than a day before the time that it states."""
        if self.stamp is None:
            return False
        return self.stated_at > instant(datetime.fromisoformat(self.stamp.at) + timedelta(days=1))

    @property
    def series(self) -> tuple[str, ...] | None:
        """What several claims of one signer are about, so that the newest of them counts.

        An auditor's audits are one series, and so are their eval results; an evaluator's K-scores
        of the bundle's own cases are one, and so are those on another pack, whatever owner they
        name.
        """
        if self.signer is None:
            return None
        if self.said(predicates.VERIFICATION_SUMMARY):
            return (self.signer.key.keyid,)
        if self.said(predicates.EVAL_RESULT):
            return (self.signer.key.keyid, predicates.EVAL_RESULT)
        score = self.said(predicates.KSCORE)
        return score and (self.signer.key.keyid, str(is_own(score)), score["pack"]["root"])

    def keeps(self, claim: "ClaimState", *, before: str, since: str) -> bool:
        """Whether it is an audit that passed, by a key that still holds, that read this very claim
        before a revocation, and not earlier than the claim can have been there.
        """
        summary = self.said(predicates.VERIFICATION_SUMMARY)
        if summary is None or self.failed_audit:
            return False
        if not self.in_role or self.signer is None or self.signer.revoked:
            return False
        read = {item["digest"]["sha256"] for item in summary.get("inputAttestations", ())}
        possible = max(since, claim.stated_at) <= self.stated_at < before
        return possible and digest.hex_of(claim.digest) in read


class ClaimStates(NamedTuple):
    """All claims of a bundle."""

    states: tuple[ClaimState, ...]

    def signers(self) -> tuple[SignedBy, ...]:
        """Who made the claims about this bundle: keys whose claims count by name first, then other
        trusted ones, then unknown ones."""
        standing = {s.digest for kind in ROLE_OF_PREDICATE for s in self._standing(kind)}
        by_key: dict[tuple[str, str], list[ClaimState]] = {}
        for state in self.states:
            holds = state.about_this and state.signature_error is None
            if holds and state.envelope is not None:
                name = state.signer.name if state.signer else ""
                by_key.setdefault((name, state.envelope.keyid), []).append(state)
        found = (
            _signer(name, keyid, made, [s for s in made if s.digest in standing])
            for (name, keyid), made in by_key.items()
        )
        return tuple(sorted(found, key=lambda s: (not s.claims, not s.name, s.name or "", s.keyid)))

    def of_type(self, predicate_type: str) -> tuple[ClaimState, ...]:
        """The claims of one kind, whatever became of them."""
        return tuple(s for s in self.states if s.kind == predicate_type)

    def holding(self, predicate_type: str) -> tuple[ClaimState, ...]:
        """Those that a key may make and that are not void, however old."""
        return tuple(s for s in self.of_type(predicate_type) if s.in_role and not self.is_void(s))

    def strangers(self, predicate_type: str) -> bool:
        """Whether a key that nobody told us of made a claim of this kind about this bundle."""
        return any(s.signer is None and s.about_this for s in self.of_type(predicate_type))

    def is_void(self, state: ClaimState) -> bool:
        """Whether the key was revoked and no audit from before shows that the claim is older."""
        if state.signer is None or state.signer.revoked is None:
            return False
        revoked_on, since = state.signer.revoked.on, self.built
        return not any(o.keeps(state, before=revoked_on, since=since) for o in self.states)

    def makers(self) -> set[str]:
        """The ids of the keys that say that they built this bundle: no second party to it."""
        built = (predicates.PROVENANCE, predicates.MODULES)
        return {s.keyid for kind in built for s in self.of_type(kind) if s.signed}

    @property
    def built(self) -> str:
        """When the build ended, by the earliest provenance of a trusted builder; empty if none.
        Keys that were revoked are asked where there is no other.

        Nobody can have audited the bundle before.
        """
        return min((state.stated_at for state in self._builds()), default="")

    @property
    def began(self) -> str:
        """When the build began, likewise: nobody can have scored the bundle before."""
        said = (state.said(predicates.PROVENANCE) for state in self._builds())
        return min((one["runDetails"]["metadata"]["startedOn"] for one in said if one), default="")

    def _builds(self) -> list[ClaimState]:
        made = [s for s in self.of_type(predicates.PROVENANCE) if s.in_role]
        held = [s for s in made if s.signer is not None and s.signer.revoked is None]
        return held or made

    def counting(self, predicate_type: str) -> tuple[ClaimState, ...]:
        """The claims of one kind that are believed: signed in role, about this, not void, the
        newest of their series, and no audit or eval result that failed.
        """
        standing = self._standing(predicate_type)
        against = {s.series for s in standing if s.failed_audit}
        return tuple(s for s in standing if s.series is None or s.series not in against)

    def failing_auditors(self) -> str:
        """Who is believed about audits and says that this bundle did not pass."""
        standing = self._standing(predicates.VERIFICATION_SUMMARY)
        return ", ".join(sorted({s.name for s in standing if s.failed_audit}))

    def _standing(self, predicate_type: str) -> tuple[ClaimState, ...]:
        made = list(self.holding(predicate_type))
        since = ""
        if predicate_type == predicates.KSCORE:
            since = self.began
        elif predicate_type in _AFTER_THE_BUILD:
            since = self.built
        if predicate_type == predicates.ENDORSEMENT:
            makers = self.makers()
            made = [s for s in made if s.keyid not in makers]
        made = [s for s in made if s.stated_at >= since]
        newest: dict[tuple[str, ...] | None, str] = {}
        for state in made:
            newest[state.series] = max(newest.get(state.series, ""), state.stated_at)
        return tuple(s for s in made if s.series is None or s.stated_at == newest[s.series])

    def said(self, kind: Name[D]) -> tuple[tuple[str, D], ...]:
        """Signer and predicate of each claim of one kind that counts."""
        made = ((state.name, state.said(kind)) for state in self.counting(kind))
        return tuple((name, said) for name, said in made if said is not None)

    def names(self, *predicate_types: Name[object]) -> set[str]:
        """Who made the claims of these kinds that count."""
        return {name for kind in predicate_types for name, _ in self.said(kind)}

    def own_scores(self) -> "tuple[tuple[str, Kscore], ...]":
        """The K-score claims that count and are about the bundle's own eval cases.

        Somebody else's pack has another evaluation, which is not in the bundle: what such a claim
        says of accuracy, coverage and floors is attested by its signer.
        """
        return tuple((name, said) for name, said in self.said(predicates.KSCORE) if is_own(said))


def _signer(
    name: str, keyid: str, every: Sequence[ClaimState], counting: Sequence[ClaimState]
) -> SignedBy:
    made = counting or every
    kinds = {state.predicate_type for state in made if state.statement is not None}
    at, by = max((state.stamp for state in made if state.stamp), default=(None, None))
    return SignedBy(
        stamped_at=at,
        stamped_by=by,
        keyid=keyid,
        predicates=tuple(sorted(kinds)),
        name=name or None,
        stated_at=min((state.stated_at for state in made if state.stated_at), default=None),
        claims=tuple(sorted(state.digest for state in counting)),
    )


def is_own(kscore: "Kscore") -> bool:
    """Whether a K-score is about the bundle's own eval cases."""
    return bool(kscore["pack"]["owner"] == OWN_PACK)


def read_claims(stored: Iterable[StoredClaim], trust: TrustStore, subject: Digest) -> ClaimStates:
    """Read every claim as far as it can be read."""
    return ClaimStates(tuple(_read(claim, trust, subject) for claim in stored))


def _read(claim: StoredClaim, trust: TrustStore, subject: Digest) -> ClaimState:
    where = f"claim {claim.digest}"
    try:
        envelope = open_envelope(claim.data, where=where)
        statement = parse(envelope.payload, where=where)
    except KolmError as error:
        return ClaimState(claim.digest, claim.predicate_type, form_error=error.again())
    signer = trust.find(envelope.keyid)
    wrong: KolmError | None = None
    if signer is not None:
        try:
            demand_signature(envelope, signer.key, where=where)
        except KolmError as error:
            wrong = error.again()
    stamp, unstamped = _stamp_of(envelope, trust, where)
    return ClaimState(
        digest=claim.digest,
        predicate_type=statement.predicate_type,
        envelope=envelope,
        statement=statement,
        signer=signer,
        signature_error=wrong,
        stamp=stamp,
        stamp_error=unstamped,
        about_this=_is_about(statement, subject),
    )


def _stamp_of(
    envelope: Envelope, trust: TrustStore, where: str
) -> "tuple[Stamp | None, KolmError | None]":
    if envelope.stamp is None:
        return None, None
    from kolm.sign.timestamps import read_stamp

    try:
        return read_stamp(envelope.stamp, envelope.signature, trust.authorities, where=where), None
    except KolmError as error:
        return None, error.again()


def _is_about(statement: Statement, subject: Digest) -> bool:
    """A verification summary and an eval result name what was audited a second time."""
    uri, result = predicates.bundle_uri(subject), statement.of(predicates.EVAL_RESULT)
    if result is not None and digest.of_hex(result["model"]["digest"]["sha256"]) != subject:
        return False
    return statement.subject == subject and statement.predicate.get("resourceUri", uri) == uri
