"""The bundle: a digest as a CID, the form that kolm prints and a registry is asked for.

CIDv1 with the raw codec and sha2-256 in base32 (multiformats/cid): the same 32 bytes as the OCI
digest, so any IPFS tool finds the same content.
"""

from __future__ import annotations

import base64
from typing import Final

from kolm import digest
from kolm.digest import Digest

PREFIX: Final = bytes((0x01, 0x55, 0x12, 0x20))  # version 1, raw, sha2-256, 32 bytes


def cid_of(content: Digest) -> str:
    """The CID of a digest, ``bafkrei…``."""
    binary = PREFIX + digest.raw_of(content)
    return "b" + base64.b32encode(binary).decode("ascii").rstrip("=").lower()
