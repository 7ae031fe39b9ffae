"""Public keys as values: reading their PEM texts, verifying, and their ids.

A key id is the SHA-256 of the public key's SPKI PEM text, in hex: the hint that Sigstore bundles
carry. The algorithm is a property of the key, so no signed file ever gets to choose it.

The library's general reader and writer of keys are imported where they are called: they bring
every cipher along, and an audit under Ed25519 keys in their canonical text needs none of them.
Private keys are in `private_keys.py`.
"""

from typing import TYPE_CHECKING, NamedTuple

from kolm import digest
from kolm.errors import Refused
from kolm.sign.signers import SIGNERS, ed25519, signer_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

MAX_PEM_BYTES = 16 * 1024  # a P-256 key is below 400 bytes; larger files are something else


class PublicKey(NamedTuple):
    """A public key: its algorithm, its canonical SPKI PEM text and its id."""

    algorithm: str
    pem: str
    keyid: str
    held: "PublicKeyTypes"

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's signature of `message`."""
        return signer_of(self.algorithm).verify(self.held, message, signature)


def read_public(data: bytes | str, *, where: str) -> PublicKey:
    """Read an SPKI PEM text; line ends and surrounding blanks are forgiven, the key id is not
    affected by them.

    Raises:
        Refused: not a public key, or not of an algorithm that kolm knows.
    """
    raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
    if len(raw) > MAX_PEM_BYTES or b"PRIVATE KEY" in raw:
        raise _no_public_key("a private key" if b"PRIVATE KEY" in raw else "a long file", where)
    key: PublicKeyTypes | None = ed25519.read_canonical_pem(raw)
    if key is not None:
        return public_of(key, where=where, pem=raw)
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(raw)
    except malformed():
        raise _no_public_key(repr(raw[:40].decode("utf-8", "replace")), where) from None
    return public_of(key, where=where)


def _no_public_key(found: str, where: str) -> Refused:
    return Refused(
        "E_KEY_FORM",
        "this is not a public key",
        where=where,
        expected="a PEM text that begins with -----BEGIN PUBLIC KEY-----",
        found=found,
        hint="whose key it is writes that file: kolm keys export NAME -o FILE",
    )


def shown(keyid: str, name: str | None = None) -> str:
    """A key for people, ``key 1f3b5d7a9c0e2468 (anna)``: elsewhere another may have its name."""
    return f"key {keyid[:16]}{f' ({name})' if name else ''}"


def malformed() -> tuple[type[Exception], ...]:
    """What the library raises where bytes are no key: OpenSSL's own words for some damage too."""
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm

    return (ValueError, TypeError, UnsupportedAlgorithm, InternalError)


def public_of(key: "PublicKeyTypes", *, where: str, pem: bytes | None = None) -> PublicKey:
    """The value of a key; `pem` is its canonical text when the caller has it already."""
    for algorithm in SIGNERS:
        if signer_of(algorithm).accepts(key):
            if pem is None:
                from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

                pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            keyid = digest.hex_of(digest.of_bytes(pem))
            return PublicKey(algorithm=algorithm, pem=pem.decode("ascii"), keyid=keyid, held=key)
    raise Refused(
        "E_KEY_KIND",
        "unsupported key type, or a weak key",
        where=where,
        expected=" or ".join(SIGNERS),
        found=type(key).__name__,
    )
