"""Roles: which tensors of a checkpoint a family's parameters are, and back.

For whoever has the checkpoint; the names alone are `Family.checkpoint_keys`.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence

from kolm.roles.family import Family, covers


def may_be_swapped(family: Family, parameter: str) -> bool:
    """Whether a checkpoint may hold this parameter with its last two axes swapped."""
    return any(re.fullmatch(pattern, parameter) for pattern in family.swapped)


def is_left_out(family: Family, key: str) -> bool:
    """Whether this tensor of a checkpoint is no parameter of the model."""
    return any(re.fullmatch(pattern, key) for pattern in family.left_out)


def stored_keys(
    family: Family, parameter: str, shape: Sequence[int], present: Container[str]
) -> tuple[str, ...]:
    """The keys under which a checkpoint holds a parameter: one, or those of its parts.

    Args:
        family: of the base.
        parameter: its name.
        shape: in memory.
        present: every key of the checkpoint.
    """
    for key in family.checkpoint_keys(parameter):
        if key in present:
            return (key,)
    parts = family.part_keys(parameter, shape[0]) if shape else ()
    return parts if all(key in present for key in parts) else ()


def parameter_of(family: Family, key: str) -> str:
    """The name in memory of what a checkpoint holds under a key: by the longest prefix."""
    stored = [
        (spelling, memory)
        for memory, spellings in family.spellings.items()
        for spelling in (memory, *spellings)
        if covers(spelling, key)
    ]
    spelling, memory = max(stored, key=lambda pair: len(pair[0]), default=("", ""))
    return memory + key[len(spelling) :]
