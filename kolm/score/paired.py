"""Is the adapter better than its base? The exact McNemar test on the same cases.

Source: McNemar 1947 (doi:10.1007/BF02295996), exact form: among the cases where exactly one of the
two scores higher, the winner is a fair coin under the null. For graded scores the same sum is the
exact sign test (Dixon and Mood 1946, doi:10.1080/01621459.1946.10501898), which asks who answers
better more often, not by how much. In whole numbers, so that thousands of
cases neither underflow nor drift.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final, Literal

from kolm.score.rounding import millionths, written

if TYPE_CHECKING:
    from kolm.records.documents import EvaluationPaired


_FEW: Final = 2000  # cases; the exact sum takes a few milliseconds


def two_sided_p(first_only: int, second_only: int) -> Fraction:
    """The exact two-sided p: min(1, 2·Σ_{i ≤ min(b, c)} C(b + c, i) / 2^(b + c))."""
    discordant = first_only + second_only
    fewer = min(first_only, second_only)
    term, total = 1, 1
    for drawn in range(fewer):
        term = term * (discordant - drawn) // (drawn + 1)
        total += term
    return min(Fraction(1), Fraction(2 * total, 2**discordant))


def p_millionths(first_only: int, second_only: int) -> int:
    """`two_sided_p` in millionths, half to even, without the whole sum where it is long."""
    if first_only + second_only > _FEW:
        from kolm.score.paired_many import p_of_many  # few bundles have so many cases

        found = p_of_many(first_only + second_only, abs(first_only - second_only))
        if found is not None:
            return found
    return millionths(two_sided_p(first_only, second_only))


def compare(
    adapter_millionths: list[int], base_millionths: list[int], *, binary: bool
) -> EvaluationPaired:
    """Count the cases that only one side wins, and test the difference.

    `p` is written with six places, half to even; a p below 0.0000005 is written "0".
    """
    pairs = list(zip(adapter_millionths, base_millionths, strict=True))
    adapter_only = sum(adapter > base for adapter, base in pairs)
    base_only = sum(base > adapter for adapter, base in pairs)
    return {
        "adapter_only": adapter_only,
        "base_only": base_only,
        "p": written(p_millionths(adapter_only, base_only)),
        "method": method_of(binary=binary),
    }


def method_of(*, binary: bool) -> Literal["mcnemar-exact", "sign-exact"]:
    """What the test is called for scores of 0 and 1 alone, and for others."""
    return "mcnemar-exact" if binary else "sign-exact"
