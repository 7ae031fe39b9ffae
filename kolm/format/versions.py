"""Format: which versions there are, by the artifact type of a bundle.

Compiles write `CURRENT`. A version that was released stays here for ever, with rules that give the
same for ever: tests/compat/test_formats.py holds them, and says how a new version is added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kolm.format.v1 import Rules

CURRENT: Final = "application/vnd.kolm.bundle.v1"


def _v1() -> type[Rules]:
    from kolm.format.v1 import Rules  # whoever only lists bundles needs no rules

    return Rules


FORMATS: Final[Mapping[str, Callable[[], type[Rules]]]] = {CURRENT: _v1}


def rules_of(artifact_type: str) -> type[Rules]:
    """The rules of a version that is in the table."""
    return FORMATS[artifact_type]()
