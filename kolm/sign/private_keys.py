"""Private keys as values: made, read from their PEM texts, written, and signing with them.

Whoever only verifies has none. The library's reader and writer of keys are imported where they are
called: they bring every cipher along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kolm.errors import Denied, Refused, Usage
from kolm.sign.keys import PublicKey, malformed, public_of
from kolm.sign.signers import SIGNERS, signer_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.hazmat.primitives.serialization import KeySerializationEncryption

_ENCRYPTED = b"BEGIN ENCRYPTED PRIVATE KEY"


class PrivateKey(NamedTuple):
    """A private key; the library's object shows no secret in its text form."""

    public: PublicKey
    held: PrivateKeyTypes

    def sign(self, message: bytes) -> bytes:
        """The signature of `message`."""
        return signer_of(self.public.algorithm).sign(self.held, message)

    def to_pem(self, passphrase: str | None = None) -> bytes:
        """The PKCS #8 PEM text, encrypted when a passphrase is given."""
        from cryptography.hazmat.primitives.serialization import (
            BestAvailableEncryption,
            Encoding,
            NoEncryption,
            PrivateFormat,
        )

        secrecy: KeySerializationEncryption = NoEncryption()
        if passphrase:
            secrecy = BestAvailableEncryption(passphrase.encode())
        return self.held.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secrecy)


def generate(algorithm: str = "ed25519") -> PrivateKey:
    """A new key pair.

    Raises:
        Usage: no such algorithm.
    """
    if algorithm not in SIGNERS:
        raise Usage(
            "E_KEY_ALGORITHM",
            "no such signature algorithm",
            expected=" or ".join(SIGNERS),
            found=algorithm[:40],
        )
    return _private(signer_of(algorithm).generate(), where="new key")


def read_private(data: bytes, *, passphrase: str | None, where: str) -> PrivateKey:
    """Read a PKCS #8 PEM text.

    Raises:
        Denied: the key is encrypted and the passphrase is missing or wrong.
        Refused: not a private key, or not of an algorithm that kolm knows.
    """
    encrypted = is_encrypted(data)
    if encrypted and not passphrase:
        raise Denied(
            "E_KEY_PASSPHRASE",
            "the key is encrypted and no passphrase was given",
            where=where,
            hint="set KOLM_KEY_PASSPHRASE, or run on a terminal",
        )
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    secret = passphrase.encode() if encrypted and passphrase else None
    try:
        key = load_pem_private_key(data, secret)
    except malformed() as error:
        if encrypted:
            raise Denied(
                "E_KEY_PASSPHRASE",
                "the passphrase is wrong",
                where=where,
                hint="type it again, or correct KOLM_KEY_PASSPHRASE",
            ) from None
        raise Refused(
            "E_KEY_FORM",
            "not a private key in PEM, or a damaged one",
            where=where,
            expected="a text that begins with -----BEGIN PRIVATE KEY-----, or OpenSSH's form",
            found=str(error).split(".", 1)[0],
        ) from None
    return _private(key, where=where)


def is_encrypted(data: bytes) -> bool:
    """Whether a private key's PEM text needs a passphrase."""
    return _ENCRYPTED in data


def _private(key: PrivateKeyTypes, *, where: str) -> PrivateKey:
    return PrivateKey(public=public_of(key.public_key(), where=where), held=key)
