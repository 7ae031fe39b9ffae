"""ECDSA over NIST P-256 with SHA-256, for tools and hardware that take nothing else.

For every signature (r, s) the pair (r, n - s) fits the same message, and DER has sloppy
relatives. One signature has one spelling here: strict DER with the lower of the two s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # FIPS 186-4, D.1.2.3


def _ecdsa_sha256() -> ec.ECDSA:
    # Made when it is used: the library looks for its backend, all ciphers with it, to make one.
    return ec.ECDSA(hashes.SHA256())


class P256:
    """ECDSA P-256 with SHA-256, DER signatures with low s."""

    def generate(self) -> PrivateKeyTypes:
        """A new private key."""
        return ec.generate_private_key(ec.SECP256R1())

    def accepts(self, key: PublicKeyTypes) -> bool:
        """An elliptic-curve key on P-256 (the library has checked that the point is on it)."""
        return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)

    def sign(self, key: PrivateKeyTypes, message: bytes) -> bytes:
        """A DER signature, its s brought below half of the order."""
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("not an elliptic-curve key")
        r, s = decode_dss_signature(key.sign(message, _ecdsa_sha256()))
        return encode_dss_signature(r, min(s, ORDER - s))

    def verify(self, key: PublicKeyTypes, message: bytes, signature: bytes) -> bool:
        """Whether the signature holds and is spelled in the one way."""
        if not isinstance(key, ec.EllipticCurvePublicKey):
            return False
        try:
            r, s = decode_dss_signature(signature)
            if encode_dss_signature(r, s) != signature or s > ORDER // 2:
                return False
            key.verify(signature, message, _ecdsa_sha256())
        except (InvalidSignature, ValueError):
            return False
        return True


SIGNER = P256()
