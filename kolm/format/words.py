"""The format: what a modules claim says of each role of a base. docs/format/claims.md, C12."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

ROLES: Final = ("vision", "audio", "projector", "language", "head", "other")


def claimed_words(found: Iterable[tuple[str, str]]) -> list[str]:
    """What role and state of all modules say of a role: ``vision frozen``, ``language adapted``.

    A role is trained if any of its modules is, else adapted if any is, else frozen; a role that
    the base does not have gets no word. The order is that of `ROLES`.
    """
    states: dict[str, set[str]] = {}
    for role, state in found:
        states.setdefault(role, set()).add(state)
    return [
        f"{role} {next(s for s in ('trained', 'adapted', 'frozen') if s in states[role])}"
        for role in ROLES
        if role in states
    ]
