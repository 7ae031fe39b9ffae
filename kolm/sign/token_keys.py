"""Private keys that never leave a token: a smart card or a security module, by PKCS #11.

A key is named by a URI as in RFC 7512, ``pkcs11:token=NAME;object=LABEL?module-path=FILE``: which
token, which key pair on it, and the maker's library that reaches it. The token signs a digest; what
is verified is an ordinary P-256 signature, and nobody can see where it was made. The PIN is asked
for as a passphrase is, and does not stand in the URI, which others read in a list of processes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, Self
from urllib.parse import unquote

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from kolm import digest
from kolm.errors import Denied, Unreadable, Usage
from kolm.extras import missing_extra
from kolm.sign.keys import public_of
from kolm.sign.private_keys import PrivateKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives import serialization

SCHEME = "pkcs11:"
_PARTS = {"token", "object", "module-path"}


class TokenKey(ec.EllipticCurvePrivateKey):
    """A P-256 key on a token, where the library of software keys is expected.

    Args:
        public: its public half.
        sign_digest: has the token sign 32 bytes; gives r and s, 32 bytes each.
    """

    def __init__(
        self, public: ec.EllipticCurvePublicKey, sign_digest: Callable[[bytes], bytes]
    ) -> None:
        self._public = public
        self._sign_digest = sign_digest

    def sign(
        self,
        data: bytes | bytearray | memoryview,
        signature_algorithm: ec.EllipticCurveSignatureAlgorithm,
    ) -> bytes:
        """The DER signature of `data`, hashed here with SHA-256 whatever is asked."""
        both = self._sign_digest(digest.raw_of_bytes(bytes(data)))
        half = len(both) // 2
        return encode_dss_signature(int.from_bytes(both[:half]), int.from_bytes(both[half:]))

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self._public

    @property
    def curve(self) -> ec.EllipticCurve:
        """That of the public half."""
        return self._public.curve

    @property
    def key_size(self) -> int:
        """In bits."""
        return self._public.key_size

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        """Signing keys agree on nothing."""
        raise TypeError("a key on a token signs, and does nothing else")

    def private_numbers(self) -> NoReturn:
        """They stay on the token."""
        raise TypeError("the private key stays on its token")

    def private_bytes(
        self,
        encoding: serialization.Encoding,
        format: serialization.PrivateFormat,  # noqa: A002  as the library calls it
        encryption_algorithm: serialization.KeySerializationEncryption,
    ) -> NoReturn:
        """They stay on the token."""
        raise TypeError("the private key stays on its token")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self


def load(uri: str, pin: Callable[[str], str | None]) -> PrivateKey:
    """The key of a token, logged in to.

    Args:
        uri: which one.
        pin: asked for the PIN of what it is called with.

    Raises:
        Usage: ``E_KEY_URI``: the URI does not name a token, a key and a library.
        Lacking: python-pkcs11 is not installed.
        Unreadable: ``E_KEY_TOKEN``: the library, the token or the key is not there.
        Denied: ``E_KEY_PASSPHRASE``: no PIN, or a wrong one.
        Refused: ``E_KEY_KIND``: not a P-256 key.
    """
    said = _read(uri)
    try:
        import pkcs11
        from pkcs11.exceptions import (
            PinIncorrect,
            PinInvalid,
            PinLenRange,
            PKCS11Error,
            UserAlreadyLoggedIn,
        )
    except ImportError:
        raise missing_extra(
            "pkcs11", "a key on a token needs python-pkcs11, which is not installed"
        ) from None
    secret = pin(said["token"])
    if not secret:
        raise _denied("the token asks for a PIN, and none was given", uri)
    try:
        token = pkcs11.lib(said["module-path"]).get_token(token_label=said["token"])
        try:
            session = token.open(user_pin=secret)
        except UserAlreadyLoggedIn:  # a process logs in to a token once
            session = token.open()
        return _of(session, said["object"], uri)
    except (PinIncorrect, PinInvalid, PinLenRange):
        raise _denied("the PIN is wrong", uri) from None
    except (PKCS11Error, RuntimeError) as error:  # the latter: the library cannot be loaded
        raise Unreadable(
            "E_KEY_TOKEN",
            "the key on the token cannot be reached",
            where=uri,
            found=f"{type(error).__name__}: {error}".rstrip(": "),
            hint="pkcs11-tool --module FILE --list-slots shows the tokens, -O the keys on one",
        ) from None


def _of(session: Any, label: str, uri: str) -> PrivateKey:
    from cryptography.hazmat.primitives.serialization import load_der_public_key
    from pkcs11 import Mechanism, ObjectClass
    from pkcs11.util.ec import encode_ec_public_key

    held = session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=label)
    spki = encode_ec_public_key(session.get_key(object_class=ObjectClass.PUBLIC_KEY, label=label))
    library = load_der_public_key(spki)
    public = public_of(library, where=uri)
    assert isinstance(library, ec.EllipticCurvePublicKey)  # encode_ec_public_key gives no other

    def sign_digest(data: bytes) -> bytes:
        signed: bytes = held.sign(data, mechanism=Mechanism.ECDSA)
        return signed

    return PrivateKey(public=public, held=TokenKey(library, sign_digest))


def _read(uri: str) -> dict[str, str]:
    named = uri.removeprefix(SCHEME).replace("?", ";").replace("&", ";").split(";")
    said = {key: unquote(value) for key, _, value in (part.partition("=") for part in named)}
    if set(said) != _PARTS or not all(said.values()):
        raise Usage(
            "E_KEY_URI",
            "the URI does not name a key on a token",
            where="--key",
            expected=f"{SCHEME}token=NAME;object=LABEL?module-path=FILE, and no PIN",
            found=", ".join(sorted(said)),  # not the values: a PIN may be among them
        )
    return said


def _denied(message: str, uri: str) -> Denied:
    return Denied(
        "E_KEY_PASSPHRASE",
        message,
        where=uri,
        hint="set KOLM_KEY_PASSPHRASE to the PIN, or run on a terminal",
    )
