"""Claims: an envelope, the key that made it and the statement inside, put together in one order.

First the envelope's form, then who signed and whether we believe them, then the signature, and
only then what is said. Each step fails with its own error, so that "nobody told me about this
key" (could not look) never looks like "this key did not sign that" (no).
"""

from __future__ import annotations

from dataclasses import dataclass

from kolm.errors import Refused, Unreadable
from kolm.sign.envelope import Envelope, demand_signature, open_envelope
from kolm.sign.keys import shown
from kolm.sign.statement import Statement, parse
from kolm.sign.trust import TrustedKey, TrustStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A statement that a believed key has signed."""

    statement: Statement
    signer: TrustedKey


def find_signer(envelope: Envelope, trust: TrustStore, *, where: str) -> TrustedKey:
    """The believed key that an envelope names.

    Raises:
        Unreadable: the trust store does not hold the key.
        Refused: it holds it as revoked.
    """
    signer = trust.find(envelope.keyid)
    if signer is None:
        raise Unreadable(
            "E_KEY_NOT_TRUSTED",
            "the claim is signed by a key that you do not trust",
            where=where,
            found=f"key {envelope.keyid}",
            hint="if you know whose key it is: kolm keys trust FILE --as NAME --role ROLE",
        )
    if signer.revoked is not None:
        raise Refused(
            "E_KEY_REVOKED",
            f"the claim is signed by {shown(signer.key.keyid, signer.name)}, which was revoked",
            where=where,
            found=f"revoked on {signer.revoked.on}: {signer.revoked.reason}",
        )
    return signer


def authenticate(data: bytes | memoryview, trust: TrustStore) -> Claim:
    """Read a claim that a believed key has signed.

    Raises:
        Unreadable: the key is not in the trust store.
        Refused: the envelope, the signature or the statement is wrong, or the key is revoked.
    """
    envelope = open_envelope(data, where="claim")
    signer = find_signer(envelope, trust, where="claim")
    demand_signature(envelope, signer.key, where="claim")
    return Claim(statement=parse(envelope.payload, where="claim"), signer=signer)
