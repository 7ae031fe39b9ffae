"""What a buyer demands of a bundle that is still to be made: the signed request, read.

A request is a claim about a pack: it names the pack, a nonce, and the policy that the answer must
pass. Reading one judges its form alone; whether a buyer signed it is V68. Rules:
docs/format/request.md.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kolm import digest, system
from kolm.digest import Digest
from kolm.errors import KolmError, Refused, broken_file
from kolm.score.floors import BASE_P
from kolm.sign import claims, envelope, own_files, predicates
from kolm.sign.envelope import Envelope
from kolm.sign.statement import parse
from kolm.sign.trust import KeyRole, TrustStore
from kolm.verify.policy import PackDemand, Policy, read_policy

if TYPE_CHECKING:
    from kolm.records.documents import Request as Said


class Request(NamedTuple):
    """A request as its file states it.

    Attributes:
        digest: of the file's bytes, which a lock names.
        signed: the envelope; who signed it is not yet looked at.
        said: the document.
        policy: what the answer must pass, the pack included.
    """

    digest: Digest
    signed: Envelope
    said: Said
    policy: Policy

    @property
    def pack(self) -> Digest | None:
        """The root of the pack that the publisher scores on; None for a sealed one."""
        pack = self.said["pack"]
        return pack["root"] if pack["kind"] == "open" else None


def read_request(data: bytes, *, where: str = "request") -> Request:
    """A request from its bytes.

    Raises:
        Refused: it is no request, or its policy makes no sense.
        Usage: its policy counts keys that cannot reach their threshold.
    """
    signed = envelope.open_envelope(data, where=where)
    statement = parse(signed.payload, where=where)
    said = statement.of(predicates.REQUEST)
    if said is None:
        raise Refused(
            "E_REQUEST_KIND",
            "there is a claim of another kind where a request should be",
            where=where,
            expected=predicates.REQUEST,
            found=statement.predicate_type,
        )
    if (statement.subject, statement.name) != (said["pack"]["root"], said["name"]):
        raise Refused(
            "E_REQUEST_SUBJECT",
            "the request is about one pack and names another",
            where=where,
            expected=f"{said['name']} {said['pack']['root']}",
            found=f"{statement.name} {statement.subject}",
        )
    return Request(digest.of_bytes(data), signed, said, demands(said, signed.keyid, where=where))


def demands(said: Said, keyid: str, *, where: str = "request") -> Policy:
    """The policy of a request with its pack: the cases of the answer, or what its buyer scores.

    Raises:
        Refused: the policy does not hold, or names cases beside the request's pack.
        Usage: as `read_policy`.
    """
    policy, pack = read_policy(said["policy"], where=f"{where}#/policy"), said["pack"]
    if policy.eval_pack_roots is not None:
        raise Refused(
            "E_REQUEST_POLICY",
            "the policy of a request names cases, and the request's pack says which they are",
            where=f"{where}#/policy/eval_pack_roots",
            hint="leave eval_pack_roots out",
        )
    if pack["kind"] == "open":
        return policy._replace(eval_pack_roots=(pack["root"],))
    scored = PackDemand(evaluator=keyid, pack=pack["root"])
    return policy._replace(packs=(*(policy.packs or ()), scored))


def load_request(path: Path) -> Request:
    """A request's file.

    Raises:
        Unreadable: it cannot be read, or is no request.
        Denied: ``E_OWN_FILE``: everybody may change it.
    """
    try:
        data = own_files.read(path, max_bytes=envelope.MAX_ENVELOPE_BYTES, named=True)
    except FileNotFoundError as error:
        raise system.error_of(error, where=path) from None
    try:
        return read_request(data, where=path.name)
    except Refused as error:
        hint = "kolm request new writes one; kolm help format/request says what is in it"
        raise broken_file(error, "E_REQUEST_BROKEN", "a request", hint=hint) from None


def signature_problem(request: Request, trust: TrustStore) -> KolmError | None:
    """Why nobody need believe that a buyer signed the request; None when one did.

    Somebody whom nobody told us of is no refusal: it could not be looked at.
    """
    try:
        signer = claims.find_signer(request.signed, trust, where="request")
        envelope.demand_signature(request.signed, signer.key, where="request")
    except KolmError as error:
        return error
    if signer.allows(KeyRole.BUYER):
        return None
    return Refused(
        "E_KEY_ROLE",
        f"{signer.name} is not trusted as a buyer",
        where="request",
        expected="a key with the role buyer",
        found=", ".join(sorted(signer.roles)),
    )


def no_laxer(name: str, stated: str | None, demanded: str) -> bool:
    """Whether one stated floor demands at least what another of its name does."""
    if stated is None:
        return False
    own, least = Decimal(stated), Decimal(demanded)
    return own <= least if name == BASE_P else own >= least
