"""Planning: lengths in few words: a histogram with bins that double."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kolm.records.answers import PlanHistogram


def histogram(numbers: Sequence[int]) -> PlanHistogram:
    """Mean, longest, and how many lie in each bin: 0, 1, 2, 3 to 4, 5 to 8 and so on."""
    bins = Counter(upper_end(number) for number in numbers)
    return {
        "mean": round(sum(numbers) / len(numbers)) if numbers else 0,
        "longest": max(numbers, default=0),
        "bins": [{"up_to": end, "examples": bins[end]} for end in sorted(bins)],
    }


def upper_end(number: int) -> int:
    """The largest number of the bin that a number is in."""
    return 1 << (number - 1).bit_length() if number > 1 else number
