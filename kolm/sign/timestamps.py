"""Time stamps: an authority's word that a signature was there at a time (RFC 3161).

A stamp is of the signature's bytes, as in Sigstore bundles, so that neither the statement nor the
content id knows of it, and it can be added later by anybody. It is believed by the certificates of
the trust store alone. Rules: docs/format/claims.md, C22-C24. The library that reads stamps is
imported when there is one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from kolm import digest
from kolm.errors import Refused, Unreadable
from kolm.extras import missing_extra
from kolm.sign.predicates import instant
from kolm.sign.trust import Authority

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, Name
    from rfc3161_client import TimeStampResponse

_SHA256 = "2.16.840.1.101.3.4.2.1"  # of NIST's arc, RFC 8017 appendix B.1
_GRANTED = 0  # RFC 3161, section 2.4.2


class Stamp(NamedTuple):
    """That a signature was there `at` a time, in UTC, by the authority that is called `by`."""

    at: str
    by: str


class Response(NamedTuple):
    """What an authority's response says, believed by nobody yet.

    Attributes:
        at: the time, in UTC.
        imprint: the SHA-256 that it is of, in hex; empty where it is of another digest.
        signers: issuer and serial number of the certificates that it says signed it.
        held: the library's.
    """

    at: str
    imprint: str
    signers: tuple[tuple[Name, int], ...]
    held: TimeStampResponse


def read_stamp(
    data: bytes, signature: bytes, authorities: Sequence[Authority], *, where: str
) -> Stamp:
    """Verify a stamp of a signature.

    Args:
        data: the authority's response, DER.
        signature: that it should be of.
        authorities: that are believed.
        where: for errors.

    Raises:
        Refused: ``E_TIMESTAMP_WRONG``: no stamp, one of other bytes, or not by the believed
            authority that it names.
        Unreadable: ``E_TIMESTAMP_NOT_TRUSTED``: by an authority that nobody told us of.
        Lacking: the library is not installed.
    """
    if not authorities:  # what nobody here could believe needs no library
        raise _not_trusted(where)
    response = open_stamp(data, where=where)
    if response.imprint != digest.hex_of(digest.of_bytes(signature)):
        raise _wrong("the time stamp is of other bytes than this signature", where)
    for authority in authorities:
        if _verified(response, signature, authority):
            return Stamp(at=response.at, by=authority.name)
    if any(_names(response, authority) for authority in authorities):
        raise _wrong("the time stamp names an authority that did not make it", where)
    raise _not_trusted(where)


def open_stamp(data: bytes, *, where: str) -> Response:
    """Read a response.

    Raises:
        Refused: ``E_TIMESTAMP_WRONG``: it is none, or grants no stamp.
        Lacking: the library is not installed.
    """
    try:
        from rfc3161_client import decode_timestamp_response
    except ImportError:
        raise missing_extra(
            "timestamp", "reading a time stamp needs rfc3161-client, which is not installed"
        ) from None
    try:
        with _reading():
            held = decode_timestamp_response(data)
            if held.status != _GRANTED:
                raise _wrong("the authority granted no time stamp", where)
            stamped = held.tst_info.message_imprint
            known = stamped.hash_algorithm.dotted_string == _SHA256
            infos = held.signed_data.signer_infos
            return Response(
                at=instant(held.tst_info.gen_time),
                imprint=stamped.message.hex() if known else "",
                signers=tuple((info.issuer, info.serial_number) for info in infos),
                held=held,
            )
    except ValueError:
        raise _wrong("this is no time stamp", where) from None


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """Whatever the libraries make of malformed bytes is a ValueError; so is a panic of their Rust,
    which is no Exception."""
    from cryptography import x509
    from cryptography.exceptions import InternalError

    own = (x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
    try:
        yield
    except (KeyError, TypeError, OverflowError, InternalError, *own) as error:
        raise ValueError("malformed") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError("malformed") from error


def read_certificates(data: bytes) -> list[Certificate]:
    """The certificates of a PEM text, at least one.

    Raises:
        ValueError: there is none, or one is malformed.
    """
    from cryptography import x509

    with _reading():
        chain = x509.load_pem_x509_certificates(data)
        for one in chain:
            _ = one.subject, one.issuer, one.extensions  # which are parsed when they are asked for
        return chain


def certificates_of(authority: Authority) -> list[Certificate]:
    """An authority's certificates.

    Raises:
        Unreadable: ``E_TRUST_BROKEN``: one of them is none.
    """
    try:
        return read_certificates("".join(authority.certificates).encode("utf-8", "replace"))
    except ValueError:
        raise Unreadable(
            "E_TRUST_BROKEN",
            "the certificates of a time stamp authority cannot be read",
            where=authority.name,
            hint="trust it again: kolm keys authority FILE --as NAME",
        ) from None


def _verified(response: Response, signature: bytes, authority: Authority) -> bool:
    from rfc3161_client import VerificationError, VerifierBuilder

    own, rest = _own_and_rest(certificates_of(authority))
    try:
        with _reading():
            verifier = VerifierBuilder(tsa_certificate=own, roots=rest).build()
            return bool(verifier.verify_message(response.held, signature))
    except (ValueError, VerificationError):
        return False


def _own_and_rest(chain: list[Certificate]) -> tuple[Certificate | None, list[Certificate]]:
    """The certificate that stamps, where the chain pins one, and those that vouch for it."""
    own = next((one for one in chain if one.issuer != one.subject and not _vouches(one)), None)
    return own, [one for one in chain if one is not own]


def _vouches(certificate: Certificate) -> bool:
    from cryptography.x509 import BasicConstraints, ExtensionNotFound

    try:
        return certificate.extensions.get_extension_for_class(BasicConstraints).value.ca
    except ExtensionNotFound:
        return False


def _names(response: Response, authority: Authority) -> bool:
    """Whether a response says that it is by this authority, or by one that it vouches for."""
    own, rest = _own_and_rest(certificates_of(authority))
    if own is not None:
        return (own.issuer, own.serial_number) in response.signers
    return any(issuer == one.subject for issuer, _ in response.signers for one in rest)


def _wrong(message: str, where: str) -> Refused:
    return Refused(
        "E_TIMESTAMP_WRONG",
        message,
        where=where,
        expected="a granted RFC 3161 stamp of the claim's signature",
    )


def _not_trusted(where: str) -> Unreadable:
    return Unreadable(
        "E_TIMESTAMP_NOT_TRUSTED",
        "the time stamp is by an authority that you do not trust",
        where=where,
        hint="if you know its certificates: kolm keys authority FILE --as NAME",
    )
