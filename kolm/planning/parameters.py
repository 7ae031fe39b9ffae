"""Planning: whose parameters are trained, by role and by module, of a base or of a bundle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from kolm.counting import counted
from kolm.format.globs import pattern_of


class Owned(NamedTuple):
    """A module and its parameters.

    Attributes:
        module: its name in memory.
        role: of the family's table.
        base: numbers that the base has in it.
        trained: numbers that are trained in it.
        whole: they take the place of the base's; else they stand beside those.
    """

    module: str
    role: str
    base: int
    trained: int
    whole: bool


class Group(NamedTuple):
    """Equal modules of several blocks, by the glob that covers them, in which something is trained.

    Attributes:
        glob: with a star for the number of a block.
        modules: how many.
        base: numbers that the base has in all of them.
        trained: numbers that are trained in all of them.
        whole: they take the place of the base's.
    """

    glob: str
    modules: int
    base: int
    trained: int
    whole: bool

    def words(self) -> str:
        """The group on one line."""
        one = f"{self.base:,}"
        told = f"all {one} trained" if self.whole else f"{self.trained:,} trained beside {one}"
        return f"{self.glob} ({counted(self.modules, 'module')}): {told}"


class OfRole(NamedTuple):
    """What is trained of a role, and where."""

    role: str
    base: int
    trained: int
    groups: tuple[Group, ...]

    def words(self) -> str:
        """The role's sum on one line."""
        if not self.trained:
            return f"{self.role}: {self.base:,} parameters, frozen"
        return f"{self.role}: {self.base:,} parameters, {self.trained:,} numbers trained"


def by_role(modules: Iterable[Owned]) -> list[OfRole]:
    """The roles that own parameters, by name, each with its groups by their globs."""
    roles: dict[str, dict[tuple[str, bool], list[Owned]]] = defaultdict(lambda: defaultdict(list))
    for own in modules:
        roles[own.role][pattern_of(own.module), own.whole].append(own)
    found = []
    for role, patterns in sorted(roles.items()):
        groups = [
            Group(
                glob=glob,
                modules=len(own),
                base=sum(one.base for one in own),
                trained=sum(one.trained for one in own),
                whole=whole,
            )
            for (glob, whole), own in sorted(patterns.items())
        ]
        base = sum(group.base for group in groups)
        trained = tuple(group for group in groups if group.trained)
        if base:
            found.append(OfRole(role, base, sum(group.trained for group in trained), trained))
    return found
