"""The floor: things counted and listed in words, so that no message says "1 captures"."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: int, noun: str) -> str:
    """A number with its noun, for example ``1 capture`` and ``9,673 captures``.

    The noun is regular, or ends with a consonant and ``y``.
    """
    if number == 1:
        return f"1 {noun}"
    vowel_before = len(noun) > 1 and noun[-2] in "aeiou"
    plural = noun[:-1] + "ies" if noun.endswith("y") and not vowel_before else noun + "s"
    return f"{number:,} {plural}"


def listed(lines: Sequence[str], most: int = 10, *, of: int | None = None) -> str:
    """The first lines, `most` of them, and how many more there are; `of` says of how many."""
    rest = (len(lines) if of is None else of) - most
    return "\n".join([*lines[:most], *([f"and {rest:,} more"] if rest > 0 else [])])
