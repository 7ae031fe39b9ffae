"""The format: how the norm of a weight is written down, and when a delta is too small beside it.

Rule N12 of docs/format/modules.md; decision 0043.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from decimal import ROUND_UP, Context, Decimal
from fractions import Fraction
from typing import Any, Final

from kolm import canonical

_SIX_DIGITS_UP: Final = Context(prec=6, rounding=ROUND_UP)
NEGLIGIBLE: Final = Fraction(1, 2**24)  # half a unit in the last place of float32, relative


def stated_norm(square_sums: Iterable[float]) -> str:
    """A Frobenius norm as `modules.jsonl` states it: six significant digits, rounded up.

    Args:
        square_sums: sums of squares in float64 that add up to the square of the norm.

    Raises:
        ValueError: the sum is no finite number.
    """
    norm = Decimal(math.sqrt(math.fsum(square_sums)))
    return canonical.decimal(_SIX_DIGITS_UP.plus(norm), None)


def least_square(stated: str | None, method: Mapping[str, Any], elements: int) -> Fraction:
    """The square of the norm that the product of two LoRA factors must have to count.

    The norm times the scale is at least 2^-24 of the weight's, and at least one element is one
    that float32 holds without loss, 2^-126.

    Args:
        stated: the weight's norm; None counts as 0.
        method: ``train.method`` of the lock.
        elements: of the product.
    """
    rank, alpha = method["rank"], method["alpha"]
    scale_square = Fraction(alpha**2, rank if method["rslora"] else rank**2)
    beside = (Fraction(stated or "0") * NEGLIGIBLE) ** 2 / scale_square
    return max(beside, Fraction(elements, 2**252))
