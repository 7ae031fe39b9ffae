"""The floor: numbers of things in words, so that no message says "1 captures"."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """A number with its noun, for example ``1 capture`` and ``9,673 captures``.

    The noun is regular, or ends with a consonant and ``y``.
    """
    if number == 1:
        return f"1 {noun}"
    vowel_before = len(noun) > 1 and noun[-2] in "aeiou"
    plural = noun[:-1] + "ies" if noun.endswith("y") and not vowel_before else noun + "s"
    return f"{number:,} {plural}"
