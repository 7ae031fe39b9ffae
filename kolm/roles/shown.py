"""Roles: what tests show of each family, as `tests/support/shown.py` collected it from them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final, Literal, NamedTuple

from kolm import canonical

FILE: Final = Path(__file__).with_name("shown.jsonl")
Where = Literal["tests", "acceptance", "no pictures", "none"]
MARKS: Final[dict[Where, str]] = {
    "tests": "yes",
    "acceptance": "slow",
    "no pictures": "-",
    "none": "no",
}


class Trait(NamedTuple):
    """Something that tests show of families.

    Attributes:
        name: of it.
        says: it in words.
        tests: each, by file and name.
        families: of each where it is shown: ``tests`` (in every run of the tests), ``acceptance``
            (in those that run in `make acceptance`), ``no pictures`` (it takes none), ``none``.
    """

    name: str
    says: str
    tests: list[str]
    families: dict[str, Where]


@cache
def traits() -> tuple[Trait, ...]:
    """Everything that is shown of families."""
    rows = canonical.read_lines(FILE.read_bytes(), where=FILE.name)
    return tuple(Trait(**row) for _, _, row in rows)
