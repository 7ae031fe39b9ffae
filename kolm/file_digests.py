"""The floor: digests of whole files, and of much at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from kolm.digest import Digest, Hasher

T = TypeVar("T")
R = TypeVar("R")

_READ_BYTES = 1024 * 1024  # larger reads gain nothing: hashing is the bottleneck
_MOST_THREADS = 16  # as many keep a fast disk busy


def of_file(path: Path) -> Digest:
    """The digest of a file, read in pieces."""
    hasher = Hasher()
    with path.open("rb") as stream:
        while piece := stream.read(_READ_BYTES):
            hasher.update(piece)
    return hasher.digest()


def each(hash_one: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """What a function that hashes gives for each item, in order; made on all cores of this process.

    Hashing more than some kilobytes lets other threads run. An error stops what has not begun.
    """
    threads = min(len(os.sched_getaffinity(0)), _MOST_THREADS)
    if threads == 1:
        return [hash_one(item) for item in items]
    from concurrent.futures import ThreadPoolExecutor  # only who hashes much needs it

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(hash_one, items))
