"""Envelopes: one signed statement in the form that it is stored and travels in.

DSSE (secure-systems-lab/dsse, protocol v1) in a Sigstore bundle v0.3 whose verification material
is the hint of a public key. What is signed is the pre-authentication encoding of the stored
payload bytes; nothing is ever canonicalised again to verify. Rules: docs/format/claims.md, C1-C8.
"""

import base64
import binascii
from typing import NamedTuple

from kolm import canonical, schema
from kolm.errors import Refused
from kolm.records import kinds
from kolm.sign.keys import PublicKey

BUNDLE_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_ENVELOPE_BYTES = 1024 * 1024  # our largest claim, provenance, stays below 16 KiB


class Envelope(NamedTuple):
    """What an envelope holds. Until a trusted key has verified it, none of this is believed."""

    payload: bytes
    keyid: str
    signature: bytes
    stamp: bytes | None = None


def pae(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """The bytes that are signed: ``DSSEv1 len(type) type len(payload) payload``.

    Source: DSSE protocol v1, "Signature Definition". Lengths are decimal byte counts.
    """
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def open_envelope(data: bytes | memoryview, *, where: str = "claim") -> Envelope:
    """Read an envelope strictly, without judging its signature.

    Raises:
        Refused: not canonical JSON, too large, an unknown or missing key, not exactly one
            signature, two different key ids, or base64 that is not the standard one.
    """
    value = canonical.loads_canonical(data, where=where, max_bytes=MAX_ENVELOPE_BYTES)
    schema.check(kinds.ENVELOPE, value, where=where)
    dsse = value["dsseEnvelope"]
    signature = dsse["signatures"][0]
    hint = value["verificationMaterial"]["publicKey"]["hint"]
    if signature["keyid"] != hint:
        raise Refused(
            "E_ENVELOPE_KEYID",
            "the envelope names two different keys",
            where=where,
            expected=hint,
            found=signature["keyid"],
        )
    stamps = value["verificationMaterial"].get("timestampVerificationData")
    stamp: bytes | None = None
    if stamps is not None:
        place = f"{where}#/verificationMaterial/timestampVerificationData"
        stamp = _from_base64(stamps["rfc3161Timestamps"][0]["signedTimestamp"], where=place)
    return Envelope(
        stamp=stamp,
        payload=_from_base64(dsse["payload"], where=f"{where}#/dsseEnvelope/payload"),
        keyid=hint,
        signature=_from_base64(signature["sig"], where=f"{where}#/dsseEnvelope/signatures/0/sig"),
    )


def demand_signature(envelope: Envelope, key: PublicKey, *, where: str = "claim") -> None:
    """Demand that `key` signed the envelope.

    Raises:
        Refused: the envelope names another key, or the signature is not this key's.
    """
    if envelope.keyid != key.keyid:
        raise Refused(
            "E_ENVELOPE_KEYID",
            "the envelope names another key",
            where=where,
            expected=key.keyid,
            found=envelope.keyid,
        )
    if not key.verifies(pae(envelope.payload), envelope.signature):
        raise Refused(
            "E_SIGNATURE_WRONG",
            "the signature does not fit the claim's bytes",
            where=where,
            expected=f"a {key.algorithm} signature by key {key.keyid[:16]}",
            hint="the claim was altered, or it names a key that never signed it",
        )


def _from_base64(text: str, *, where: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise Refused("E_ENVELOPE_BASE64", f"not base64: {error}", where=where) from None
    # The decoder ignores unused bits at the end, so that several texts mean the same bytes.
    if base64.b64encode(data).decode("ascii") != text:
        raise Refused("E_ENVELOPE_BASE64", "the base64 is not the standard form", where=where)
    return data
