"""Fractions as written: every rate in an evaluation is a whole number of millionths.

Stands under all of scoring. Rounding happens once, half to even, from an exact rational; decisions
(floors, gates) are taken on the written values, so that a reader of the document can repeat them.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from functools import lru_cache

from kolm import canonical

MILLION = 1_000_000

# 28 digits leave more than 20 to spare over the six written, roots and logarithms included
DECIMALS = Context(prec=28, rounding=ROUND_HALF_EVEN)


def millionths(value: Fraction) -> int:
    """`value` in millionths, rounded half to even."""
    return round(value * MILLION)


@lru_cache(maxsize=1024)  # most scores are 0 or 1
def written(value_millionths: int) -> str:
    """The canonical decimal string of a number of millionths."""
    return canonical.decimal(Decimal(value_millionths).scaleb(-6), None)


def in_millionths(text: str) -> int:
    """A rate as written (a canonical decimal of at most six places), in millionths."""
    return int(Decimal(text).scaleb(6))


def ratio(numerator: int, denominator: int) -> str:
    """The quotient as written: six places, half to even."""
    return written(millionths(Fraction(numerator, denominator)))
