"""The exact sign test of so many cases that the whole sum would take seconds.

Whoever signs a K-score states counts, and a reader computes p from them: it must cost nothing.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import Final

from kolm.score.rounding import MILLION

_DIGITS: Final = Context(prec=50, rounding=ROUND_HALF_EVEN)
_PI: Final = Decimal("3.14159265358979323846264338327950288419716939937511")
_ERROR: Final = Decimal("1e-24")  # of a term, and more than that: of 1,000 the series lacks 1e-29


def p_of_many(discordant: int, apart: int) -> int | None:
    """p in millionths, half to even; None where it is too near the edge of a rounding.

    The binomial law is symmetric, so that p is 1 less the terms around the middle. Far from it
    Hoeffding's bound, 2·exp(−apart² / 2·discordant), is below half a millionth.

    Args:
        discordant: cases in which one of both scores higher, at least 2,000.
        apart: how many more the one wins than the other.
    """
    if apart * apart >= 31 * discordant:
        return 0
    with localcontext(_DIGITS):
        p = 1 - _middle(discordant, apart)
        low, high = (round((p + sign * apart * _ERROR) * MILLION) for sign in (-1, 1))
    return low if low == high else None


def _middle(count: int, apart: int) -> Decimal:
    """The share of 2^count that C(count, i) has over the i with |2i − count| < apart."""
    half = count // 2
    # Stirling's series for C(2k, k) / 4^k (DLMF 5.11.1), which its next term bounds.
    k = Decimal(half)
    series = -1 / (8 * k) + 1 / (192 * k**3) - 1 / (640 * k**5) + 17 / (14336 * k**7)
    term = series.exp() / (_PI * k).sqrt()
    if count % 2:
        term *= Decimal(count) / (2 * half + 2)  # C(2k + 1, k) / 2^(2k + 1)
    total = Decimal(0)
    for i in range(half, (count - apart) // 2, -1):
        total += term if 2 * i == count else 2 * term
        term *= Decimal(i) / (count - i + 1)
    return total
