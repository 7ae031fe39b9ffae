"""The relaxed metric of ChartQA: numbers may be off by 5 %, other answers must be equal.

Source of the rule: Masry et al. 2022 (arXiv:2203.10244), section 5.1, after Methani et al. 2020;
the behaviour is that of ``relaxed_correctness`` in pix2struct's metrics, which the harnesses share:
a ``%`` at the end divides by 100, a reference of zero falls to text comparison, text comparison
ignores case. Two things differ, on purpose: the arithmetic is exact, where the published one
compares binary floats, and white space around an answer is ignored. ``nan``, infinities, digit
groups with ``_`` and non-ASCII digits, which Python's ``float`` happens to read, are no numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from kolm.metrics.metric import Score, best_of
from kolm.metrics.numbers import parse_number


@dataclass(frozen=True, slots=True)
class Relaxed:
    """Within `tolerance` of the reference; parsed means a number where one is due."""

    tolerance: Fraction
    kind: ClassVar[str] = "relaxed"
    least_credit: ClassVar[Fraction] = Fraction(1)

    def no_laxer_than(self, other: Relaxed) -> bool:
        """By the tolerance."""
        return self.tolerance <= other.tolerance

    @best_of
    def score(self, output: str, reference: str) -> Score:
        """1 when close enough (numbers) or equal without regard to case (text), else 0."""
        target = parse_number(reference)
        answer = parse_number(output)
        parsed = bool(output.strip()) if target is None else answer is not None
        if answer is not None and target:
            right = abs(answer - target) <= self.tolerance * abs(target)
        else:
            right = output.strip().lower() == reference.strip().lower()
        return Score(value=Fraction(int(right)), parsed=parsed)

    def shortest_right(self, reference: str) -> None:
        """Not known: a number has many forms."""
