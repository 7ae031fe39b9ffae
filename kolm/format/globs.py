"""Format: lists of module names as globs, exactly and both ways.

A receipt says ``model.visual.blocks.*.attn.qkv`` instead of 32 names. A star stands for one
component that is all digits, so a glob covers equal blocks and never a differently named module.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from kolm.errors import Refused

STAR = "*"


def pattern_of(name: str) -> str:
    """The glob that covers a name and its namesakes in other blocks."""
    return ".".join(STAR if part.isascii() and part.isdigit() else part for part in name.split("."))


def summarise(names: Iterable[str], universe: Iterable[str]) -> list[str]:
    """The sorted globs that cover exactly `names` within `universe`.

    Where a glob would cover a name that is not meant, its names are spelled out. The law is
    ``expand(summarise(names, universe), universe) == sorted(set(names))``.

    Raises:
        Refused: ``E_GLOB``: a name outside the universe, or one that holds a star.
    """
    chosen, everything = set(names), set(universe)
    for name in sorted(everything | chosen):
        if STAR in name or name not in everything:
            raise Refused(
                "E_GLOB", "this module name cannot be summarised by globs", where=name[:120]
            )
    covered: dict[str, set[str]] = defaultdict(set)
    for name in everything:
        covered[pattern_of(name)].add(name)
    globs: set[str] = set()
    for pattern, members in covered.items():
        globs.update({pattern} if members <= chosen else members & chosen)
    return sorted(globs)


def expand(globs: Iterable[str], names: Iterable[str]) -> list[str]:
    """The sorted names that any of the globs covers; inverse of `summarise`."""
    wanted = set(globs)
    return sorted(name for name in set(names) if name in wanted or pattern_of(name) in wanted)
