"""The bundle: everything in the file that is not content: layout, index, claim manifests, order.

All of it is a pure function of the subject manifest and the claims, so a reader never believes
it: it derives it again and compares bytes. Rules C7 to C15 of docs/format/container.md. The claim
manifests follow cosign's bundle specification, so that other tools find them as OCI referrers.
"""

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from kolm import canonical, digest
from kolm.bundle import limits
from kolm.bundle.manifest import MANIFEST_MEDIA_TYPE, TITLE, type_of
from kolm.bundle.tar import blob_name
from kolm.digest import Digest
from kolm.errors import Refused

LAYOUT_NAME: Final = "oci-layout"
INDEX_NAME: Final = "index.json"
LAYOUT: Final = canonical.dumps({"imageLayoutVersion": "1.0.0"})
TAG: Final = "v1"  # fixed: a name in the file would be text that nobody signed
CLAIM_MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
EMPTY: Final = b"{}"
EMPTY_DIGEST: Final = digest.of_bytes(EMPTY)

_INDEX_MEDIA_TYPE = "application/vnd.oci.image.index.v1+json"
_EMPTY_MEDIA_TYPE = "application/vnd.oci.empty.v1+json"
_REF_NAME = "org.opencontainers.image.ref.name"
_IN_TOTO = "application/vnd.in-toto+json"
_MAX_PREDICATE_TYPE_CHARACTERS = 256


class StoredClaim(NamedTuple):
    """One claim as it lies in the file: the Sigstore bundle and the manifest that points to it."""

    data: bytes
    digest: Digest
    manifest: bytes
    manifest_digest: Digest
    predicate_type: str


def claim_of(data: bytes, subject: bytes) -> StoredClaim:
    """The claim manifest of a Sigstore bundle about the subject manifest `subject`.

    Raises:
        Refused: ``E_CLAIM_FORM``: not a Sigstore bundle of one DSSE envelope with an in-toto
            statement. Whether its signature holds is not asked here.
    """
    claim_digest = digest.of_bytes(data)
    predicate_type = _predicate_type(data, where=f"claim {claim_digest}")
    title = f"sha256-{digest.hex_of(claim_digest)}.sigstore.json"
    manifest = canonical.dumps(
        {
            "annotations": {
                "dev.sigstore.bundle.content": "dsse-envelope",
                "dev.sigstore.bundle.predicateType": predicate_type,
            },
            "artifactType": CLAIM_MEDIA_TYPE,
            "config": _described(EMPTY, _EMPTY_MEDIA_TYPE),
            "layers": [_described(data, CLAIM_MEDIA_TYPE) | {"annotations": {TITLE: title}}],
            "mediaType": MANIFEST_MEDIA_TYPE,
            "schemaVersion": 2,
            "subject": _described(subject, MANIFEST_MEDIA_TYPE),
        }
    )
    return StoredClaim(
        data=data,
        digest=claim_digest,
        manifest=manifest,
        manifest_digest=digest.of_bytes(manifest),
        predicate_type=predicate_type,
    )


def _described(data: bytes, media_type: str) -> dict[str, object]:
    return {"digest": digest.of_bytes(data), "mediaType": media_type, "size": len(data)}


def _predicate_type(data: bytes, *, where: str) -> str:
    bundle = canonical.loads(data, where=where, max_bytes=limits.JSON_BYTES.value)
    if type(bundle) is not dict or bundle.get("mediaType") != CLAIM_MEDIA_TYPE:
        raise _not_a_claim(where, "it is not a Sigstore bundle v0.3")
    envelope = bundle.get("dsseEnvelope")
    if type(envelope) is not dict or envelope.get("payloadType") != _IN_TOTO:
        raise _not_a_claim(where, "it holds no DSSE envelope with an in-toto statement")
    payload = envelope.get("payload")
    try:
        statement_bytes = base64.b64decode(
            payload if isinstance(payload, str) else "!", validate=True
        )
    except (binascii.Error, ValueError):
        raise _not_a_claim(where, "the payload is not base64") from None
    # Foreign predicates may hold JSON fractions; only the type is taken from here.
    statement = canonical.loads(statement_bytes, where=f"{where} payload", floats=True)
    found = statement.get("predicateType") if type(statement) is dict else None
    if not isinstance(found, str) or not 0 < len(found) <= _MAX_PREDICATE_TYPE_CHARACTERS:
        raise _not_a_claim(where, "the statement has no predicateType")
    if not found.isascii() or not found.isprintable():
        raise _not_a_claim(where, "the predicateType is not a printable ASCII URI")
    return found


def _not_a_claim(where: str, message: str) -> Refused:
    return Refused("E_CLAIM_FORM", message, where=where)


def index_of(subject: bytes, claims: Sequence[StoredClaim]) -> bytes:
    """The bytes of index.json: the subject under the fixed tag, then the claim manifests."""
    first = _described(subject, MANIFEST_MEDIA_TYPE) | {
        "annotations": {_REF_NAME: TAG},
        "artifactType": type_of(subject),
    }
    rest = [
        _described(claim.manifest, MANIFEST_MEDIA_TYPE) | {"artifactType": CLAIM_MEDIA_TYPE}
        for claim in claims
    ]
    return canonical.dumps(
        {"manifests": [first, *rest], "mediaType": _INDEX_MEDIA_TYPE, "schemaVersion": 2}
    )


def blob_order(
    subject: Digest,
    receipt: Digest,
    claims: Sequence[StoredClaim],
    layers: Iterable[tuple[int, Digest]],
) -> tuple[Digest, ...]:
    """The one order of the blobs: what is small and read first stands first.

    Subject manifest; receipt; the empty config, if there are claims; each claim's manifest and
    bundle; then the layers by size and digest. A blob that is named twice stands at its first
    place only.

    Args:
        subject: digest of the subject manifest.
        receipt: digest of the receipt.
        claims: the claims in the order of their manifests' digests.
        layers: size and digest of every layer.
    """
    order = [subject, receipt]
    if claims:
        order.append(EMPTY_DIGEST)
    for claim in claims:
        order += [claim.manifest_digest, claim.digest]
    order += [layer_digest for _, layer_digest in sorted(layers)]
    return tuple(dict.fromkeys(order))


def entry_names(order: Iterable[Digest]) -> tuple[str, ...]:
    """The names of all entries of the tar, in order."""
    return (LAYOUT_NAME, INDEX_NAME, *(blob_name(digest.hex_of(item)) for item in order))
