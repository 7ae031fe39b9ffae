"""Keys as values: reading and writing their PEM texts, signing, verifying, and their ids.

A key id is the SHA-256 of the public key's SPKI PEM text, in hex: the hint that Sigstore bundles
carry. The algorithm is a property of the key, so no signed file ever gets to choose it.

The library's general reader and writer of keys are imported where they are called: they bring
every cipher along, and an audit under Ed25519 keys in their canonical text needs none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kolm import digest
from kolm.errors import Denied, Refused, Usage
from kolm.sign.signers import SIGNERS, ed25519, signer_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
    from cryptography.hazmat.primitives.serialization import KeySerializationEncryption

MAX_PEM_BYTES = 16 * 1024  # a P-256 key is below 400 bytes; larger files are something else
_ENCRYPTED = b"BEGIN ENCRYPTED PRIVATE KEY"


class PublicKey(NamedTuple):
    """A public key: its algorithm, its canonical SPKI PEM text and its id."""

    algorithm: str
    pem: str
    keyid: str
    held: PublicKeyTypes

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's signature of `message`."""
        return signer_of(self.algorithm).verify(self.held, message, signature)


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


def read_public(data: bytes | str, *, where: str) -> PublicKey:
    """Read an SPKI PEM text; line ends and surrounding blanks are forgiven, the key id is not
    affected by them.

    Raises:
        Refused: not a public key, or not of an algorithm that kolm knows.
    """
    raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
    if len(raw) > MAX_PEM_BYTES or b"PRIVATE KEY" in raw:
        raise Refused(
            "E_KEY_FORM",
            "this is not a public key",
            where=where,
            expected="a PEM text that begins with -----BEGIN PUBLIC KEY-----",
            hint="kolm keys export NAME writes the public half of a key",
        )
    key: PublicKeyTypes | None = ed25519.read_canonical_pem(raw)
    if key is not None:
        return _public(key, where=where, pem=raw)
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(raw)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Refused(
            "E_KEY_FORM",
            "this is not a public key in PEM",
            where=where,
            expected="a file that kolm keys export wrote, or another SPKI PEM text",
            found=repr(raw[:40].decode("utf-8", "replace")),
        ) from None
    return _public(key, where=where)


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
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    secret = passphrase.encode() if encrypted and passphrase else None
    try:
        key = load_pem_private_key(data, secret)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if encrypted:
            raise Denied(
                "E_KEY_PASSPHRASE",
                "the passphrase is wrong",
                where=where,
                hint="type it again, or correct KOLM_KEY_PASSPHRASE",
            ) from None
        raise Refused("E_KEY_FORM", f"not a private key in PEM: {error}", where=where) from None
    return _private(key, where=where)


def is_encrypted(data: bytes) -> bool:
    """Whether a private key's PEM text needs a passphrase."""
    return _ENCRYPTED in data


def _private(key: PrivateKeyTypes, *, where: str) -> PrivateKey:
    return PrivateKey(public=_public(key.public_key(), where=where), held=key)


def _public(key: PublicKeyTypes, *, where: str, pem: bytes | None = None) -> PublicKey:
    """The value of a key; `pem` is its canonical text when the caller has it already."""
    for algorithm in SIGNERS:
        if signer_of(algorithm).accepts(key):
            pem = pem or _canonical_pem(key)
            keyid = digest.hex_of(digest.of_bytes(pem))
            return PublicKey(algorithm=algorithm, pem=pem.decode("ascii"), keyid=keyid, held=key)
    raise Refused(
        "E_KEY_KIND",
        "unsupported key type, or a weak key",
        where=where,
        expected=" or ".join(SIGNERS),
        found=type(key).__name__,
    )


def _canonical_pem(key: PublicKeyTypes) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
