"""Spec: the seeds of a compile, so that nobody can shop for them.

Every seed follows from the whole lock, which names the snapshot, the settings and the nonce; to
get another seed one must show another lock. Normative text: docs/format/lock.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kolm import digest

LABELS = ("initialisation", "order", "split")


def derive_seeds(lock: Mapping[str, Any]) -> dict[str, digest.Digest]:
    """The seeds that belong to a lock; its own ``seeds``, if there, are not looked at.

    seed(label) = SHA-256(label in ASCII ‖ the 32 bytes of the digest of the lock without seeds)
    """
    unseeded = {key: value for key, value in lock.items() if key != "seeds"}
    whole = bytes.fromhex(digest.hex_of(digest.of_value(unseeded)))
    return {label: digest.of_bytes(label.encode("ascii") + whole) for label in LABELS}
