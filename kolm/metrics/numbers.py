"""Numbers as answers state them, which metrics and the slices of an evaluation both read."""

from __future__ import annotations

import re
from fractions import Fraction

# 64 characters and three exponent digits bound the cost of exact arithmetic on hostile text
_LONGEST_NUMBER = 64
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?\Z", re.ASCII)


def parse_number(text: str) -> Fraction | None:
    """The number that `text` states, or None when it is not one; ``5%`` is 1/20."""
    bare = text.strip()
    per_cent = bare.endswith("%")
    if per_cent:
        bare = bare.rstrip("%").rstrip()
    if len(bare) > _LONGEST_NUMBER or not _NUMBER.match(bare):
        return None
    number = Fraction(bare)
    return number / 100 if per_cent else number
