"""Ed25519 as in RFC 8032: the default algorithm. The message is signed as it is, not prehashed."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

_FIELD = 2**255 - 19
_SIGNATURE_BYTES = 64

# RFC 8410 fixes all of a key's SPKI but its 32 bytes, and its first 12 bytes are 16 whole base64
# digits, so the canonical PEM text has one form.
_SPKI = base64.b64decode("MCowBQYDK2VwAyEA")
_PEM = b"-----BEGIN PUBLIC KEY-----\n%b\n-----END PUBLIC KEY-----\n"
_CANONICAL = re.compile(_PEM % b"(MCowBQYDK2VwAyEA[A-Za-z0-9+/]{43}=)")

# The y coordinates of the eight points whose order divides 8. Under such a key one signature fits
# every message, so that a claim under it says nothing.
_ORDER_8_Y = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_WEAK_Y = {0, 1, _FIELD - 1, _ORDER_8_Y, _FIELD - _ORDER_8_Y}


class Ed25519:
    """Pure Ed25519."""

    def generate(self) -> PrivateKeyTypes:
        """A new private key."""
        return ed25519.Ed25519PrivateKey.generate()

    def accepts(self, key: PublicKeyTypes) -> bool:
        """An Ed25519 key whose point is written canonically and is not of small order."""
        if not isinstance(key, ed25519.Ed25519PublicKey):
            return False
        y = int.from_bytes(key.public_bytes_raw(), "little") & (
            2**255 - 1
        )  # the top bit is the sign of x
        return y < _FIELD and y not in _WEAK_Y

    def sign(self, key: PrivateKeyTypes, message: bytes) -> bytes:
        """The 64 bytes R || S."""
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            raise TypeError("not an Ed25519 key")
        return key.sign(message)

    def verify(self, key: PublicKeyTypes, message: bytes, signature: bytes) -> bool:
        """Whether the signature holds; the library refuses S at or above the group order."""
        if not isinstance(key, ed25519.Ed25519PublicKey) or len(signature) != _SIGNATURE_BYTES:
            return False
        try:
            key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


SIGNER = Ed25519()


def read_canonical_pem(text: bytes) -> ed25519.Ed25519PublicKey | None:
    """The key of a canonical SPKI PEM text; None for any other text, whatever it holds."""
    match = _CANONICAL.fullmatch(text)
    if match is None:
        return None
    raw = base64.b64decode(match.group(1))[len(_SPKI) :]
    if _PEM % base64.b64encode(_SPKI + raw) != text:  # the last digit has bits to spare
        return None
    return ed25519.Ed25519PublicKey.from_public_bytes(raw)
