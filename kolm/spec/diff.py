"""Spec: what differs between two specs or two locks, key by key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One key whose value differs; a side where the key is missing is None.

    Attributes:
        path: dotted, for example ``train.method.rank``.
    """

    path: str
    left: object
    right: object


def diff(left: Mapping[str, object], right: Mapping[str, object]) -> tuple[Difference, ...]:
    """The differing keys of two documents, sorted by path; lists are compared whole."""
    return tuple(_walk(left, right, ""))


def _walk(
    left: Mapping[str, object], right: Mapping[str, object], prefix: str
) -> Iterator[Difference]:
    for key in sorted({*left, *right}):
        one, other = left.get(key), right.get(key)
        path = f"{prefix}{key}"
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from _walk(one, other, f"{path}.")
        elif one != other or (key in left) != (key in right):
            yield Difference(path=path, left=one, right=other)
