"""V10–V15: who says what about this bundle, and is it believed?

The algorithm comes from the trusted key, and a key inside a bundle is a name to look up, never a
reason to trust.
"""

from __future__ import annotations

from collections.abc import Iterator

from kolm.counting import counted
from kolm.errors import KolmError, Refused
from kolm.records.verification import Finding
from kolm.sign.predicates import VERIFICATION_SUMMARY, WORDS
from kolm.verify.check import check
from kolm.verify.claim_states import ROLE_OF_PREDICATE, ClaimState
from kolm.verify.findings import could_not_look, failed, from_error, not_checked, passed
from kolm.verify.policy import MAKERS, ClaimDemand
from kolm.verify.subject import MANIFEST, Subject


@check(
    "V10",
    "Is every claim a well-formed envelope around a statement of a known kind?",
    reads=(MANIFEST,),
)
def claims_are_well_formed(subject: Subject) -> Iterator[Finding]:
    """One envelope, one signature, one statement, a known predicate that fits its schema."""
    for state in subject.claims.states:
        if state.form_error is not None:
            yield from_error(state.form_error)
        elif state.predicate_type not in ROLE_OF_PREDICATE:
            yield failed(
                "a claim of this kind is not made about a bundle",
                where=state.where,
                found=state.predicate_type,
                rule="C10",
            )
    yield passed(counted(len(subject.claims.states), "claim"))


@check(
    "V11", "Is each claim signed by a trusted key in a role that may make it?", reads=(MANIFEST,)
)
def signatures_hold(subject: Subject) -> Iterator[Finding]:
    """A trusted key whose signature does not match is a no; an unknown key is no answer."""
    claims = subject.claims
    demanded = {demand.predicate for demand in subject.auditor.policy.claims}
    for state in claims.states:
        if state.envelope is None:
            continue
        if state.signer is None:
            yield from _unknown_signer(subject, state, needed=state.kind in demanded)
            continue
        if state.signature_error is not None:
            yield from_error(state.signature_error)
        elif state.signed and not state.in_role:
            yield from _wrong_role(subject, state)
        if isinstance(state.stamp_error, Refused):
            yield from_error(state.stamp_error)
        if state.dated_ahead:
            yield failed(
                "the claim states a time after its time stamp, when it was signed already",
                rule="C24",
                where=state.where,
                expected=f"until a day after {state.stamp.at if state.stamp else ''}",
                found=state.stated_at,
                code="E_CLAIM_TIME",
            )
    signed = [state for state in claims.states if state.in_role]
    names = sorted({state.name for state in signed})
    if signed:
        stamped = sum(state.stamp is not None for state in signed)
        note = f"; {stamped} with a time stamp of a trusted authority" if stamped else ""
        yield passed(f"{len(signed)} signed by {', '.join(names)}{note}")
    else:
        yield not_checked("no claim about this bundle is signed by a trusted key (V12, V13)")


def _unknown_signer(subject: Subject, state: ClaimState, *, needed: bool) -> Iterator[Finding]:
    keyid = state.envelope.keyid if state.envelope else ""
    detail = f"{WORDS[state.predicate_type]} is signed by a key that you do not trust: {keyid}"
    if needed and not subject.claims.counting(state.kind):
        yield could_not_look(detail, where=state.where, code="E_KEY_NOT_TRUSTED")


def _wrong_role(subject: Subject, state: ClaimState) -> Iterator[Finding]:
    role = ROLE_OF_PREDICATE.get(state.kind)
    if role is not None and not subject.claims.counting(state.kind):
        yield failed(
            f"{state.name} is not trusted to make this claim",
            where=state.where,
            expected=f"a key with the role {role}",
            found=", ".join(sorted(state.signer.roles)) if state.signer else "",
            code="E_KEY_ROLE",
        )


@check("V12", "Is every claim about this very manifest?", reads=(MANIFEST,))
def claims_are_about_this(subject: Subject) -> Iterator[Finding]:
    """A good signature about another bundle says nothing here."""
    for state in subject.claims.states:
        if state.statement is not None and not state.about_this:
            stated = state.statement.subject
            elsewhere = stated != subject.content_id
            other = state.statement.predicate.get("resourceUri", "another model")
            yield failed(
                f"{WORDS[state.predicate_type]} is about another bundle",
                where=state.where,
                expected=subject.content_id or "",
                found=stated if elsewhere else other,
                rule="C9",
            )
    yield passed("every subject is this manifest")


@check("V13", "Is every predicate that the policy demands there?", reads=(MANIFEST,))
def predicates_are_there(subject: Subject) -> Iterator[Finding]:
    """Claims are not content, so a missing one must be noticed by name."""
    against = subject.claims.failing_auditors()
    for demand in subject.auditor.policy.claims:
        made = [s for s in subject.claims.of_type(demand.predicate) if s.statement is not None]
        if not made:
            yield failed(
                "the policy demands a claim that is not there",
                expected=demand.predicate,
                code="E_CLAIM_MISSING",
            )
        elif subject.claims.counting(demand.predicate):
            continue
        elif against and demand.predicate == VERIFICATION_SUMMARY:
            yield failed(
                f"the policy demands an audit that passed, and the one by {against} says FAILED",
                expected="PASSED",
                found="FAILED",
                code="E_AUDIT_FAILED",
            )
        elif subject.claims.strangers(demand.predicate):
            yield could_not_look(
                f"{WORDS[demand.predicate]} is there, but only from keys that you do not trust",
                code="E_KEY_NOT_TRUSTED",
            )
        else:
            yield failed(
                f"no {WORDS[demand.predicate]} claim counts",
                expected=demand.predicate,
                code="E_CLAIM_MISSING",
            )
    note = f"; the audit by {against} says FAILED" if against else ""
    yield passed(f"{len(subject.auditor.policy.claims)} demanded{note}")


@check("V14", "Did enough different trusted keys sign, as the policy demands?", reads=(MANIFEST,))
def enough_keys_signed(subject: Subject) -> Iterator[Finding]:
    """Counted by key, never by signature; the built-in policy wants one key behind all four."""
    policy = subject.auditor.policy
    single: list[set[str]] = []
    unknown = False
    for demand in policy.claims:
        keys = _keys(subject, demand)
        strangers = subject.claims.strangers(demand.predicate)
        unknown = unknown or strangers
        if demand.threshold == 1 and demand.role in MAKERS:
            single.append(keys)
        if len(keys) >= demand.threshold:
            continue
        when = ", stamped in the time that the policy wants" if demand.stamped else ""
        needed = f"{demand.threshold} trusted keys as {demand.role}"
        detail = f"{WORDS[demand.predicate]} needs {needed}{when}"
        unread = _unread_stamp(subject, demand)
        if unread is not None:
            yield could_not_look(f"{detail}; {unread.message}", code=unread.code)
        elif strangers:
            yield could_not_look(
                f"{detail}; found {len(keys)} and keys that you do not trust",
                code="E_KEY_NOT_TRUSTED",
            )
        else:
            yield failed(
                detail,
                expected=str(demand.threshold),
                found=str(len(keys)),
                code="E_CLAIM_THRESHOLD",
            )
    if policy.same_signer and single and all(single) and not set.intersection(*single):
        if unknown:
            yield could_not_look(
                "no one trusted key made all demanded claims; unknown keys might",
                code="E_KEY_NOT_TRUSTED",
            )
        else:
            yield failed("no one trusted key made all demanded claims", code="E_CLAIM_THRESHOLD")
    names = sorted({s.name for d in policy.claims for s in subject.claims.counting(d.predicate)})
    yield passed(", ".join(names) or "none")


def _keys(subject: Subject, demand: ClaimDemand) -> set[str]:
    keys = {
        state.signer.key.keyid
        for state in subject.claims.counting(demand.predicate)
        if state.signer is not None
        and demand.role in state.signer.roles
        and (demand.stamped is None or (state.stamp and demand.stamped.holds(state.stamp.at)))
    }
    return keys if demand.keys is None else keys & set(demand.keys)


def _unread_stamp(subject: Subject, demand: ClaimDemand) -> KolmError | None:
    """Why a time stamp that the policy wants could not be looked at, if one could not."""
    if demand.stamped is None:
        return None
    errors = (state.stamp_error for state in subject.claims.counting(demand.predicate))
    return next((e for e in errors if e is not None and not isinstance(e, Refused)), None)


@check("V15", "Is no signature void: no downgrade, no revoked key?", reads=(MANIFEST,))
def signatures_are_not_void(subject: Subject) -> Iterator[Finding]:
    """A revoked key's claim counts only if an audit from before, by another key, names it."""
    demanded = {demand.predicate for demand in subject.auditor.policy.claims}
    voided = 0
    for state in subject.claims.states:
        if not state.in_role or not subject.claims.is_void(state):
            continue
        voided += 1
        if state.kind in demanded and not subject.claims.counting(state.kind):
            revoked = state.signer.revoked if state.signer else None
            yield failed(
                f"the key of {state.name} was revoked, and no earlier audit by another trusted "
                "key names this claim",
                where=state.where,
                found=f"revoked on {revoked.on}: {revoked.reason}" if revoked else "",
                code="E_KEY_REVOKED",
            )
    note = f"; {voided} of a revoked key do not count" if voided else ""
    yield passed(f"algorithms come from the trusted keys{note}")
