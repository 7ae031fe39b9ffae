"""The format: what training rests on, and the seeds that follow from it. docs/format/lock.md.

A seed follows from the base, the captures to learn from, the training settings and the nonce, and
from nothing else: other eval answers, floors, names, prices or machines leave it as it is. To get
another seed one must show another training.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from kolm import digest
from kolm.digest import Digest

if TYPE_CHECKING:
    from kolm.records.documents import Lock, LockSeeds


LEARNING_SIDES: Final = frozenset({"train", "validation"})


def training_root(lines: Iterable[tuple[str, bytes]]) -> Digest:
    """The Merkle root of the lines of snapshot.jsonl on the train and validation sides (L2).

    Args:
        lines: side and bytes (without newline) of every line, in order.
    """
    return digest.merkle_root(line for side, line in lines if side in LEARNING_SIDES)


def pack_root(lines: Iterable[tuple[str, bytes]]) -> Digest:
    """The Merkle root of the lines of snapshot.jsonl on the eval side: which cases are scored.

    Args:
        lines: side and bytes (without newline) of every line, in order.
    """
    return digest.merkle_root(line for side, line in lines if side == "eval")


def training_facts(lock: Lock) -> dict[str, object]:
    """What the weights rest on apart from the environment: base, captures, settings, nonce (L9)."""
    return {
        "base": lock["base"]["root"],
        "data": lock["data"]["training"],
        "nonce": lock["nonce"],
        "train": lock["train"],
    }


def derive_seeds(lock: Lock) -> LockSeeds:
    """The seeds that belong to a lock; its own ``seeds``, if there, are not looked at.

    seed(label) = SHA-256(label in ASCII ‖ the 32 bytes of the digest of `training_facts`)
    """
    facts = digest.raw_of(digest.of_value(training_facts(lock)))

    def seed(label: str) -> Digest:
        return digest.of_bytes(label.encode("ascii") + facts)

    return {"initialisation": seed("initialisation"), "order": seed("order")}
