"""What a signature algorithm must offer. It decides nothing about trust and reads no files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes


class Signer(Protocol):
    """One signature algorithm over whole messages; its module holds it as `SIGNER`."""

    def generate(self) -> PrivateKeyTypes:
        """A new private key from the operating system's randomness."""

    def accepts(self, key: PublicKeyTypes) -> bool:
        """Whether a public key is one of this algorithm, and not a degenerate one."""

    def sign(self, key: PrivateKeyTypes, message: bytes) -> bytes:
        """The signature of `message` in the one encoding that `verify` accepts."""

    def verify(self, key: PublicKeyTypes, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is the well-spelled one of `message`; bad bytes are a no."""
