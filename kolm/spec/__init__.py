"""Spec: from the user's YAML to a lock in which nothing is implied. Pure, apart from one read.

The spec is what the user writes; the lock is what the compile does. What belongs here: reading a
spec with places for its errors, filling defaults, resolving to a lock, and comparing two of them.
"""

from kolm.spec.diff import Difference, diff
from kolm.spec.load import load_spec
from kolm.spec.resolve import resolve

__all__ = ["Difference", "diff", "load_spec", "resolve"]
