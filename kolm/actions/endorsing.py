"""The compositions: a bundle endorsed by a second party, as a signed claim, and time-stamped."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kolm import outputs, system
from kolm.actions import stamping
from kolm.actions.policies import without_endorsements
from kolm.actions.signing import (
    AskPassphrase,
    Trust,
    choose_key,
    demand_clock,
    passphrase_from_environment,
)
from kolm.actions.signing import trust_of as believed
from kolm.actions.verification import verify
from kolm.bundle import writer
from kolm.bundle.container import open_container
from kolm.bundle.reader import Bundle
from kolm.digest import Digest
from kolm.errors import Refused, Unreadable
from kolm.registry.check import demand_passed
from kolm.sign import making, predicates
from kolm.sign.envelope import open_envelope
from kolm.sign.keys import shown
from kolm.sign.model_signature import FILE_NAME, demand_suitable, model_signature
from kolm.verify.claim_states import ClaimState, read_claims
from kolm.verify.policy import Demands, policy_of

if TYPE_CHECKING:
    from kolm.bundle.container import Container
    from kolm.sign.trust import TrustStore

_MOST_BYTES = 1024 * 1024  # of a response that is read at all


class Endorsed(NamedTuple):
    """An endorsement that was made, or a time stamp that was put beside a claim.

    Attributes:
        bundle: the file that has it.
        content_id: of the bundle, which did not change.
        keyid: of the key that signed.
        kinds: of the claims that it stands behind, in words, one for each; none for a stamp alone.
        policy: the name of the policy that the bundle passed; None for a stamp alone.
        stamped_at: the time stamp, in UTC, if there is one.
        stamped_by: what its authority is called here; None if it is not trusted here.
    """

    bundle: Path
    content_id: Digest
    keyid: str
    kinds: list[str]
    policy: str | None
    stamped_at: str | None = None
    stamped_by: str | None = None


def endorse(
    bundle: str | Path,
    *,
    policy: Demands = None,
    trust: Trust = None,
    base: str | Path | None = None,
    key: str | None = None,
    ask_passphrase: AskPassphrase = passphrase_from_environment,
    timestamp: str | None = None,
    timestamp_query: Path | None = None,
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
        timestamp: address of an authority that stamps the signature.
        timestamp_query: file for the query to an authority that is asked elsewhere.
        output: write a copy with the claim here; without it the claim is added in place.
        force: replace another file at `output` or `timestamp_query`.
        now: the time that the claim states; without one the clock's.

    Raises:
        Refused: ``E_BUNDLE_NOT_VERIFIED``, the bundle does not pass; ``E_SIGN_OWN``, the key made
            it, and so is no second party.
        Unreadable: what decides could not be looked at, or no claim of a trusted key is there.
        Lacking: ``E_CLOCK_BEHIND``.
        Usage: ``E_TARGET_EXISTS``.
        Network: the authority gave no stamp; nothing is written then.
    """
    signer = choose_key(key, ask_passphrase)
    container = open_container(Path(bundle))
    opened = Bundle.of(container)
    if output is not None:
        writer.demand_place(output, opened.content_id, force=force)
    if timestamp_query is not None:
        outputs.demand_free(timestamp_query, force=force)
    moment = now or datetime.now(UTC)  # noqa: TID251 - the composition reads the clock
    demand_clock(opened, moment)
    demanded = policy_of(policy)
    store = believed(trust)
    report = verify(
        container, policy=without_endorsements(demanded), trust=store, base=base, now=moment
    )
    content = demand_passed(report)
    _demand_second_party(container, signer.public.keyid, content, store)
    behind = _claims_that_count(container, store, content)
    said = making.endorsement((data for _, data in behind), policy=demanded.digest, at=moment)
    name = report.bundle.name or container.path.name
    claim = making.seal(making.statement(content, name, predicates.ENDORSEMENT, said), signer)
    made = Endorsed(
        bundle=output or container.path,
        content_id=content,
        keyid=signer.public.keyid,
        kinds=sorted(predicates.WORDS[state.predicate_type] for state, _ in behind),
        policy=demanded.name,
    )
    query = stamping.query_of(claim) if timestamp or timestamp_query else b""
    if timestamp is not None:
        stamped = stamping.put([claim], stamping.ask(timestamp, query), store)
        claim = stamped.data
        made = made._replace(stamped_at=stamped.at, stamped_by=stamped.by)
    _write(opened, container.path, claim, output, force=force)
    if timestamp_query is not None:
        outputs.write(timestamp_query, query, force=force)
    return made


def sign_model(
    bundle: str | Path,
    folder: Path,
    *,
    policy: Demands = None,
    trust: Trust = None,
    base: str | Path | None = None,
    key: str | None = None,
    ask_passphrase: AskPassphrase = passphrase_from_environment,
) -> Endorsed:
    """Write a bundle's members into a folder, with OpenSSF's signature over them as `model.sig`.

    The bundle is verified first and stays as it is. The folder loads with PEFT.

    Args:
        bundle: the file.
        folder: new, or empty.
        policy: what the bundle must pass: a policy or its file; without one the built-in policy.
        trust: whose keys are believed: a store or its file; without one this user's own.
        base: as in `verify`.
        key: name of the signing key, of P-256.
        ask_passphrase: called with the name of an encrypted key.

    Raises:
        Usage: ``E_SIGN_OMS_KEY``, or ``E_TARGET_EXISTS``.
        Refused, Unreadable: the bundle does not pass, or could not be looked at.
    """
    signer = choose_key(key, ask_passphrase)
    demand_suitable(signer)
    opened = Bundle.open(Path(bundle))
    demanded = policy_of(policy)
    report = verify(opened.container, policy=without_endorsements(demanded), trust=trust, base=base)
    content = demand_passed(report)
    files = {member.name: member.digest for member in opened.members}
    made = model_signature(report.bundle.name or opened.container.path.name, files, signer)
    opened.unpack(folder)
    outputs.write(folder / FILE_NAME, made)
    return Endorsed(folder, content, signer.public.keyid, sorted(files), demanded.name)


def add_time_stamp(
    bundle: str | Path,
    response: str | Path,
    *,
    trust: Trust = None,
    output: Path | None = None,
    force: bool = False,
) -> Endorsed:
    """Put a time stamp that was made elsewhere beside the claim whose signature it is of.

    The claim is then there twice, with and without the stamp, since others may name either by its
    digest; it counts once.

    Args:
        bundle: the file that has the claim.
        response: the authority's response to the query of `endorse`, a file in DER.
        trust: whose authorities are believed; one that is not may be another reader's.
        output: write a copy with the claim here; without it the claim is added in place.
        force: replace another file at `output`.

    Raises:
        Refused: ``E_TIMESTAMP_WRONG``: it is of no signature in the bundle, or no stamp.
    """
    opened = Bundle.open(Path(bundle))
    if output is not None:
        writer.demand_place(output, opened.content_id, force=force)
    with system.naming(Path(response)), Path(response).open("rb") as stream:
        data = stream.read(_MOST_BYTES)
    stamped = stamping.put(map(bytes, opened.claims), data, believed(trust))
    _write(opened, Path(bundle), stamped.data, output, force=force)
    return Endorsed(
        bundle=output or Path(bundle),
        content_id=opened.content_id,
        keyid=open_envelope(stamped.data).keyid,
        kinds=[],
        policy=None,
        stamped_at=stamped.at,
        stamped_by=stamped.by,
    )


def _write(opened: Bundle, path: Path, claim: bytes, output: Path | None, *, force: bool) -> None:
    if output is None:
        writer.add_claims(path, [claim], content_id=opened.content_id)
    else:
        writer.write_with_claims(output, opened, [claim], force=force)


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
                found=shown(keyid),
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
        for kind in dict.fromkeys(state.kind for state in made.states)
        if kind != predicates.ENDORSEMENT
        for state in made.counting(kind)
    ]
    if not behind:
        raise Unreadable(
            "E_KEY_NOT_TRUSTED",
            "there is no claim of a key that you trust to stand behind",
            where=str(container.path),
            found=", ".join(sorted({shown(state.keyid) for state in made.states if state.keyid})),
            hint="if you know whose key it is: kolm keys trust FILE --as NAME --role ROLE",
        )
    return behind
