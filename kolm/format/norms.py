"""The format: how the norm of a weight is written down.

Rule N12 of docs/format/modules.md; decision 0043.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import ROUND_UP, Context, Decimal
from typing import Final

from kolm import canonical

_SIX_DIGITS_UP: Final = Context(prec=6, rounding=ROUND_UP)


def stated_norm(square_sums: Iterable[float]) -> str:
    """A Frobenius norm as `modules.jsonl` states it: six significant digits, rounded up.

    Args:
        square_sums: sums of squares in float64 that add up to the square of the norm.

    Raises:
        ValueError: the sum is no finite number.
    """
    norm = Decimal(math.sqrt(math.fsum(square_sums)))
    return canonical.decimal(_SIX_DIGITS_UP.plus(norm), None)
