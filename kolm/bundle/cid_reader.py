"""The bundle: a CID that somebody gives, read strictly; inverse of `cid.cid_of`."""

from __future__ import annotations

import base64
import re

from kolm import digest
from kolm.bundle.cid import PREFIX, cid_of
from kolm.digest import Digest
from kolm.errors import Refused

_OURS = re.compile(r"b[a-z2-7]{58}", re.ASCII)


def digest_of(cid: str) -> Digest:
    """The digest inside a CID; CIDs that other tools wrote may use any multibase.

    Raises:
        Refused: ``E_CID``: not a CIDv1 of raw bytes under sha2-256.
    """
    if _OURS.fullmatch(cid):
        binary = base64.b32decode(cid[1:].upper() + "======")
        if binary.startswith(PREFIX):
            found = digest.of_hex(binary[len(PREFIX) :].hex())
            if cid_of(found) == cid:  # the last digit has two unused bits, which must be zero
                return found
        raise _refused(cid)
    return _parse_foreign(cid)


def _parse_foreign(cid: str) -> Digest:
    from multiformats import CID  # 0.18 s to import; only foreign spellings need it

    if len(cid) > 200:
        raise _refused(cid)
    try:
        parsed = CID.decode(cid)
        fits = parsed.version == 1 and (parsed.codec.name, parsed.hashfun.name) == (
            "raw",
            "sha2-256",
        )
        raw = bytes(parsed.raw_digest)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise _refused(cid) from error
    if not fits or len(raw) != 32:
        raise _refused(cid)
    return digest.of_hex(raw.hex())


def _refused(cid: str) -> Refused:
    return Refused(
        "E_CID",
        "not a CID of a bundle",
        where=cid[:80],
        expected="CIDv1, raw codec, sha2-256, for example bafkrei…",
    )
