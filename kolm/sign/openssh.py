"""Keys in OpenSSH's forms, as ``~/.ssh`` has them: the same keys in another spelling.

Read when a key is trusted or taken over, and kept in the one form of `keys.py` from then on. An
audit never reads them.
"""

from __future__ import annotations

from kolm.errors import Denied, Lacking, Refused
from kolm.sign.keys import PublicKey, malformed, public_of
from kolm.sign.private_keys import PrivateKey

_PUBLIC = (b"ssh-", b"ecdsa-sha2-", b"sk-ssh-", b"sk-ecdsa-")
_PRIVATE = b"-----BEGIN OPENSSH PRIVATE KEY-----"


def is_public(data: bytes) -> bool:
    """Whether this is a line of OpenSSH's, such as ``ssh-ed25519 AAAA… me@here``."""
    return data.startswith(_PUBLIC)


def is_private(data: bytes) -> bool:
    """Whether this is a private key as ssh-keygen writes one."""
    return data.lstrip().startswith(_PRIVATE)


def read_public(data: bytes, *, where: str) -> PublicKey:
    """Read a public key's line.

    Raises:
        Refused: it is malformed, or not of an algorithm that kolm knows.
    """
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    try:
        key = load_ssh_public_key(data.strip())
    except malformed():
        raise Refused(
            "E_KEY_FORM",
            "this is no OpenSSH public key that kolm can use",
            where=where,
            expected="one line: ssh-ed25519 or ecdsa-sha2-nistp256, then the key",
            found=repr(data[:40].decode("utf-8", "replace")),
        ) from None
    return public_of(key, where=where)


def read_private(data: bytes, *, passphrase: str | None, where: str) -> PrivateKey:
    """Read a private key of ssh-keygen's.

    Raises:
        Denied: it is encrypted, and the passphrase is missing or wrong.
        Lacking: it is encrypted, and `bcrypt`, which that needs, is not installed.
        Refused: it is malformed, or not of an algorithm that kolm knows.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    try:
        key = load_ssh_private_key(data, passphrase.encode() if passphrase else None)
    except UnsupportedAlgorithm as error:
        if "bcrypt" not in str(error):
            raise Refused("E_KEY_KIND", "unsupported key type", where=where) from None
        raise Lacking(
            "E_EXTRA_MISSING",
            "an encrypted OpenSSH key needs the package bcrypt, which is not installed",
            where=where,
            hint="pip install bcrypt; or take the passphrase off a copy: ssh-keygen -p -f COPY",
        ) from None
    except TypeError:  # encrypted, and no passphrase
        raise Denied(
            "E_KEY_PASSPHRASE",
            "the key is encrypted and no passphrase was given",
            where=where,
            hint="set KOLM_KEY_PASSPHRASE, or run on a terminal",
        ) from None
    except malformed() as error:
        if passphrase:
            raise Denied(
                "E_KEY_PASSPHRASE",
                "the passphrase is wrong, or the file is damaged",
                where=where,
                hint="type it again, or correct KOLM_KEY_PASSPHRASE",
            ) from None
        raise Refused(
            "E_KEY_FORM",
            "not an OpenSSH private key, or a damaged one",
            where=where,
            found=str(error).split(".", 1)[0],
        ) from None
    return PrivateKey(public=public_of(key.public_key(), where=where), held=key)
