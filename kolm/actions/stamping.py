"""The compositions: a time stamp of a claim's signature, asked for here or brought here."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from kolm import digest, settings
from kolm.errors import Network, Refused, Unreadable, Usage
from kolm.extras import missing_extra
from kolm.sign import making, timestamps
from kolm.sign.envelope import open_envelope

if TYPE_CHECKING:
    from kolm.sign.trust import TrustStore

_TIMEOUT_SECONDS = 60.0
_MOST_BYTES = 24 * 1024  # of a response: more than an envelope takes, and tokens have 1 to 8 KiB
_QUERY, _REPLY = "application/timestamp-query", "application/timestamp-reply"  # RFC 3161, 3.4


class StampedClaim(NamedTuple):
    """A claim with a time stamp.

    Attributes:
        data: the bytes of its envelope.
        at: the time that the authority states, in UTC.
        by: what this user calls the authority; None for one that is not trusted here.
    """

    data: bytes
    at: str
    by: str | None


def query_of(claim: bytes) -> bytes:
    """The RFC 3161 query for a stamp of a claim's signature, with a nonce, DER.

    Raises:
        Lacking: the extra `timestamp` is missing.
    """
    try:
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder
    except ImportError:
        raise missing_extra(
            "timestamp", "asking for a time stamp needs rfc3161-client, which is not installed"
        ) from None
    asked = TimestampRequestBuilder().data(open_envelope(claim).signature)
    query: bytes = asked.hash_algorithm(HashAlgorithm.SHA256).build().as_bytes()
    return query


def ask(url: str, query: bytes) -> bytes:
    """An authority's response over HTTP.

    Raises:
        Network: it cannot be reached, answers otherwise, or the network is forbidden.
        Usage: the address is none.
    """
    if settings.offline():
        raise Network(
            "E_TIMESTAMP_UNREACHABLE",
            "a time stamp from an address needs the network, which --offline forbids",
            where=url[:200],
            hint="--timestamp-query writes the query, and --timestamp-file takes the response",
        )
    if not url.startswith(("http://", "https://")):
        raise Usage(
            "E_TIMESTAMP_URL",
            "this is no address of a time stamp authority",
            expected="http:// or https:// and the rest",
            found=url[:200],
        )
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    request = Request(url, data=query, headers={"Content-Type": _QUERY, "Accept": _REPLY})
    try:
        with urlopen(request, timeout=_TIMEOUT_SECONDS) as reply:
            data: bytes = reply.read(_MOST_BYTES + 1)
            good = reply.status == HTTPStatus.OK
    except (OSError, HTTPException, ValueError) as error:
        raise _unreachable(url, str(error)) from None
    if not good or len(data) > _MOST_BYTES:
        raise _unreachable(url, f"status {reply.status}, {len(data)} bytes or more")
    return data


def put(claims: Iterable[bytes], response: bytes, trust: TrustStore) -> StampedClaim:
    """Put a response beside the one of these claims whose signature it is of.

    Raises:
        Refused: ``E_TIMESTAMP_WRONG``: it is of none of them, or no stamp.
        Lacking: the extra `timestamp` is missing.
    """
    where = "time stamp"
    if len(response) > _MOST_BYTES:
        raise Refused("E_TIMESTAMP_WRONG", "this is no time stamp", where=where)
    opened = timestamps.open_stamp(response, where=where)
    for claim in claims:
        signature = open_envelope(claim).signature
        if digest.hex_of(digest.of_bytes(signature)) == opened.imprint:
            try:
                at, by = timestamps.read_stamp(response, signature, trust.authorities, where=where)
            except Unreadable:  # not trusted here, and by others perhaps
                at, by = opened.at, None
            return StampedClaim(making.stamped(claim, response), at, by)
    raise Refused(
        "E_TIMESTAMP_WRONG",
        "the time stamp is of no signature of this bundle",
        where=where,
        expected="the response to what --timestamp-query wrote",
    )


def _unreachable(url: str, found: str) -> Network:
    return Network(
        "E_TIMESTAMP_UNREACHABLE",
        "the time stamp authority gave no stamp",
        where=url[:200],
        found=found[:200],
        hint="try again, or another one; nothing was signed",
    )
