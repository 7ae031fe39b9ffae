"""The floor: SHA-256 digests, Merkle roots, chains and the deterministic number stream.

The only place in kolm that hashes. A digest is written ``sha256:<64 lower-case hex>``, the form
of OCI; the hex alone equals the Hugging Face LFS id of the same bytes.
"""

from __future__ import annotations

import hashlib  # noqa: TID251 - this module is where hashing lives
import re
import struct
from collections.abc import Iterable, Iterator, MutableSequence
from itertools import count
from typing import NewType, TypeVar

from kolm import canonical
from kolm.errors import Refused

Digest = NewType("Digest", str)
T = TypeVar("T")

_PREFIX = "sha256:"
_FORM = re.compile(r"sha256:[0-9a-f]{64}\Z", re.ASCII)
_WORDS = struct.Struct("<8I")
EMPTY = Digest(_PREFIX + hashlib.sha256(b"").hexdigest())


class Hasher:
    """Collects bytes and gives their digest."""

    def __init__(self, data: bytes = b"") -> None:
        self._state = hashlib.sha256(data)
        self.size_bytes = len(data)

    def update(self, data: bytes | memoryview) -> None:
        """Add bytes."""
        self._state.update(data)
        self.size_bytes += len(data)

    def digest(self) -> Digest:
        """The digest of what was added so far."""
        return Digest(_PREFIX + self._state.hexdigest())


def of_bytes(data: bytes | memoryview) -> Digest:
    """The digest of bytes."""
    return Digest(_PREFIX + hashlib.sha256(data).hexdigest())


def raw_of_bytes(data: bytes | memoryview) -> bytes:
    """The 32 bytes of the digest of bytes."""
    return hashlib.sha256(data).digest()


def of_value(value: object) -> Digest:
    """The digest of a value's canonical bytes."""
    return of_bytes(canonical.dumps(value))


def parse(text: object, *, where: str) -> Digest:
    """Read a digest; the law is ``str(parse(d)) == d``.

    Raises:
        Refused: not ``sha256:`` and 64 lower-case hex digits.
    """
    if not isinstance(text, str) or not _FORM.match(text):
        raise Refused(
            "E_DIGEST_FORM",
            "not a digest",
            where=where,
            expected="sha256: and 64 lower-case hex digits",
            found=repr(text)[:90],
        )
    return Digest(text)


def of_hex(text: str) -> Digest:
    """The digest whose hex digits are `text` (which the caller has checked)."""
    return Digest(_PREFIX + text)


def hex_of(digest: Digest) -> str:
    """The 64 hex digits of a digest."""
    return digest[len(_PREFIX) :]


def raw_of(digest: Digest) -> bytes:
    """The 32 bytes of a digest."""
    return bytes.fromhex(hex_of(digest))


def merkle_root(leaves: Iterable[bytes]) -> Digest:
    """The Merkle tree hash of RFC 6962, section 2.1: leaf prefix 0x00, node prefix 0x01.

    An odd node is carried up unchanged, which equals the RFC's split at the largest power of two.
    """
    complete: list[bytes | None] = []  # by height: a complete tree that waits for its right twin
    for leaf in leaves:
        node = hashlib.sha256(b"\x00" + leaf).digest()
        for height, left in enumerate(complete):
            if left is None:
                complete[height] = node
                break
            node = hashlib.sha256(b"\x01" + left + node).digest()
            complete[height] = None
        else:
            complete.append(node)
    waiting = [node for node in complete if node is not None]
    if not waiting:
        return EMPTY
    root = waiting[0]
    for left in waiting[1:]:
        root = hashlib.sha256(b"\x01" + left + root).digest()
    return of_hex(root.hex())


def chain(previous: Digest, item: Digest) -> Digest:
    """The next link of a hash chain: the hash of the previous link and the item."""
    return of_bytes(raw_of(previous) + raw_of(item))


def derive(label: str, *parts: Digest) -> Digest:
    """A seed for one purpose: the hash of a label and digests, so nobody can shop for seeds."""
    body = b"".join(raw_of(part) for part in parts)
    return of_bytes(label.encode() + b"\x00" + body)


def _words(seed: bytes) -> Iterator[int]:
    for number in count():
        block = hashlib.sha256(seed + number.to_bytes(8, "little")).digest()
        yield from _WORDS.unpack(block)


class Stream:
    """Deterministic numbers from a seed, the same in every implementation.

    Block i is SHA-256(seed bytes, then i as 8 bytes little-endian), read as eight little-endian
    32-bit words. `below` rejects words past the largest multiple of its bound, so it is unbiased.
    """

    def __init__(self, seed: Digest) -> None:
        self._words = _words(raw_of(seed))

    def uint32(self) -> int:
        """The next 32-bit word."""
        return next(self._words)

    def below(self, bound: int) -> int:
        """A uniform integer in [0, bound), for bounds up to 2**32."""
        if not 1 <= bound <= 2**32:
            raise ValueError(f"bound {bound} is outside [1, 2**32]")
        limit = 2**32 - 2**32 % bound
        word = next(self._words)
        while word >= limit:
            word = next(self._words)
        return word % bound

    def shuffle(self, items: MutableSequence[T]) -> None:
        """Shuffle in place (Fisher-Yates from the end)."""
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]
