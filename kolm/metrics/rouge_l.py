"""The ROUGE-L metric: how much of two texts is the same words in the same order.

Source: Lin 2004 (ROUGE: A Package for Automatic Evaluation of Summaries, section 3.1): with the
longest common subsequence of l words of texts of m and n words, recall is l/m, precision l/n. The
score is their harmonic mean, 2l/(m + n), as published scorers give it by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from kolm.metrics.metric import UNREAD, Score, best_of
from kolm.metrics.tokens import tokens


@dataclass(frozen=True, slots=True)
class RougeL:
    """The F-measure of the longest common subsequence of words."""

    kind: ClassVar[str] = "rouge_l"
    least_credit: ClassVar[Fraction] = Fraction(1, 1_000_000)

    def no_laxer_than(self, other: RougeL) -> bool:
        """It has no options."""
        return True

    @best_of
    def score(self, output: str, reference: str) -> Score:
        """2l/(m + n); an answer without words is not parsed."""
        answer, sought = tokens(output), tokens(reference)
        if not answer:
            return UNREAD
        common = longest_common(answer, sought)
        return Score(value=Fraction(2 * common, len(answer) + len(sought)), parsed=True)

    def shortest_right(self, reference: str) -> None:
        """Not known: any of its words earns something."""


def longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence, a row at a time in the bits of whole numbers.

    Source: Hyyrö 2004 (Bit-parallel LCS-length computation revisited, section 4). A bit is 0 where
    the row's entry is one more than that of the word before.
    """
    short, long = (one, other) if len(one) <= len(other) else (other, one)
    places: dict[str, int] = {}
    for place, word in enumerate(short):
        places[word] = places.get(word, 0) | 1 << place
    whole = (1 << len(short)) - 1
    row = whole
    for word in long:
        equal = row & places.get(word, 0)
        row = (row + equal | row - equal) & whole
    return len(short) - row.bit_count()
