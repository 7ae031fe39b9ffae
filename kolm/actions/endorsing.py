"""The compositions: a bundle endorsed by a second party, as a signed claim."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kolm.actions.signing import AskPassphrase, Trust, choose_key, passphrase_from_environment
from kolm.actions.signing import trust_of as believed
from kolm.actions.verification import verify
from kolm.bundle import writer
from kolm.bundle.container import open_container
from kolm.bundle.reader import Bundle
from kolm.digest import Digest
from kolm.errors import Refused, Unreadable
from kolm.registry.check import demand_passed
from kolm.sign import making, predicates
from kolm.verify.claim_states import ClaimState, read_claims
from kolm.verify.policy import Demands, Policy, policy_of

if TYPE_CHECKING:
    from kolm.bundle.container import Container
    from kolm.sign.trust import TrustStore


class Endorsed(NamedTuple):
    """An endorsement that was made.

    Attributes:
        bundle: the file that has it.
        content_id: of the bundle, which did not change.
        name: of the bundle.
        keyid: of the key that signed.
        kinds: of the claims that it stands behind, in words, one for each.
        policy: the name of the policy that the bundle passed.
    """

    bundle: Path
    content_id: Digest
    name: str
    keyid: str
    kinds: list[str]
    policy: str


def endorse(
    bundle: str | Path,
    *,
    policy: Demands = None,
    trust: Trust = None,
    base: str | Path | None = None,
    key: str | None = None,
    ask_passphrase: AskPassphrase = passphrase_from_environment,
    output: Path | None = None,
    force: bool = False,
    now: datetime | None = None,
) -> Endorsed:
    """Stand behind a bundle and its claims, with a signed claim beside them.

    The bundle is verified first. Who endorses need not wait for others who will: what the policy
    demands of endorsements is left out.

    Args:
        bundle: the file.
        policy: what it must pass: a policy or its file; without one the built-in policy.
        trust: whose keys are believed: a store or its file; without one this user's own.
        base: as in `verify`.
        key: name of the signing key.
        ask_passphrase: called with the name of an encrypted key.
        output: write a copy with the claim here; without it the claim is added in place.
        force: replace another file at `output`.
        now: the time that the claim states; without one the clock's.

    Raises:
        Refused: ``E_BUNDLE_NOT_VERIFIED``, the bundle does not pass; ``E_SIGN_OWN``, the key made
            it, and so is no second party.
        Unreadable: what decides could not be looked at, or no claim of a trusted key is there.
        Usage: ``E_TARGET_EXISTS``.
    """
    signer = choose_key(key, ask_passphrase)
    container = open_container(Path(bundle))
    opened = Bundle.of(container)
    if output is not None:
        writer.demand_place(output, opened.content_id, force=force)
    moment = now or datetime.now(UTC)  # noqa: TID251 - the composition reads the clock
    demanded = policy_of(policy)
    store = believed(trust)
    report = verify(
        container, policy=_without_endorsements(demanded), trust=store, base=base, now=moment
    )
    content = demand_passed(report)
    _demand_second_party(container, signer.public.keyid, content, store)
    behind = _claims_that_count(container, store, content)
    said = making.endorsement((data for _, data in behind), policy=demanded.digest, at=moment)
    name = report.bundle.name or container.path.name
    claim = making.seal(making.statement(content, name, predicates.ENDORSEMENT, said), signer)
    if output is None:
        writer.add_claims(container.path, [claim], content_id=content)
    else:
        writer.write_with_claims(output, opened, [claim], force=force)
    return Endorsed(
        bundle=output or container.path,
        content_id=content,
        name=name,
        keyid=signer.public.keyid,
        kinds=sorted(predicates.WORDS[state.predicate_type] for state, _ in behind),
        policy=demanded.name,
    )


def _without_endorsements(policy: Policy) -> Policy:
    left = tuple(demand for demand in policy.claims if demand.predicate != predicates.ENDORSEMENT)
    return policy._replace(claims=left)


def _demand_second_party(
    container: Container, keyid: str, content: Digest, trust: TrustStore
) -> None:
    found, _ = container.claims
    made = read_claims(found, trust, content)
    for state in (*made.of_type(predicates.PROVENANCE), *made.of_type(predicates.MODULES)):
        if state.keyid == keyid:
            raise Refused(
                "E_SIGN_OWN",
                "this key built the bundle, and an endorsement is somebody else's word",
                where=state.where,
                expected="a key that made neither its provenance nor its modules claim",
                found=f"key {keyid[:16]}",
                hint="let a second party sign, with a key of their own: kolm sign --key NAME",
            )


def _claims_that_count(
    container: Container, trust: TrustStore, content: Digest
) -> list[tuple[ClaimState, bytes]]:
    """What is stood behind: the claims that are believed here, but for other endorsements."""
    found, _ = container.claims
    made = read_claims(found, trust, content)
    stored = {claim.digest: bytes(claim.data) for claim in found}
    behind = [
        (state, stored[state.digest])
        for kind in dict.fromkeys(state.predicate_type for state in made.states)
        if kind != predicates.ENDORSEMENT
        for state in made.counting(kind)
    ]
    if not behind:
        raise Unreadable(
            "E_KEY_NOT_TRUSTED",
            "there is no claim of a key that you trust to stand behind",
            where=str(container.path),
            hint="if you know whose key it is: kolm keys trust FILE --as NAME --role ROLE",
        )
    return behind
