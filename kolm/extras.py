"""The floor: optional parts of kolm that are not installed."""

from __future__ import annotations

from kolm.errors import Lacking


def missing_extra(extra: str, message: str) -> Lacking:
    """The error of an optional part of kolm that is not installed.

    Args:
        extra: the extra's name in pyproject.toml.
        message: what needs it.
    """
    return Lacking(
        "E_EXTRA_MISSING",
        message,
        hint=f"install kolm with its extra {extra!r}: kolm help getting-started",
    )
