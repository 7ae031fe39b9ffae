"""The ANLS metric: normalised Levenshtein similarity, for text that a picture is read for.

Source: Biten et al. 2019 (arXiv:1907.00490), equation 1: 1 − NL where NL < τ, else 0; NL is the
edit distance by the length of the longer text. As in the harnesses, case does not count and runs of
white space are one space; here Unicode composition does not count either. DocVQA's script keeps
NL = τ, which the equation does not. Its maximum over several references is not needed: a capture
has one response.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Final

from kolm.metrics.exact import fold
from kolm.metrics.metric import RIGHT, UNREAD, WRONG, Score, best_of

# The distance costs the product of both lengths. A case with a reference and three outputs of this
# length takes 10 ms, so that a bundle of such cases is judged within two seconds a megabyte.
LONGEST_CHARACTERS: Final = 2048


@dataclass(frozen=True, slots=True)
class Anls:
    """How near an answer is; `threshold` is the paper's τ: from there on it is another answer."""

    threshold: Fraction
    kind: ClassVar[str] = "anls"

    @property
    def least_credit(self) -> Fraction:
        """What an answer at the threshold would score; scores lie above it."""
        return 1 - self.threshold

    def no_laxer_than(self, other: Anls) -> bool:
        """By the threshold."""
        return self.threshold <= other.threshold

    @best_of
    def score(self, output: str, reference: str) -> Score:
        """1 − NL, or 0 from the threshold on; of texts that are too long only equal ones score."""
        answer, sought = fold(output), fold(reference)
        if not answer:
            return UNREAD
        if answer == sought:
            return RIGHT
        longest = max(len(answer), len(sought))
        apart = abs(len(answer) - len(sought))  # the least that the distance can be
        if longest > LONGEST_CHARACTERS or apart >= self.threshold * longest:
            return WRONG
        share = Fraction(edit_distance(answer, sought), longest)
        return Score(value=1 - share, parsed=True) if share < self.threshold else WRONG

    def shortest_right(self, reference: str) -> None:
        """Not known: a shorter answer can earn something."""


def edit_distance(one: str, other: str) -> int:
    """Levenshtein's distance in characters, a row at a time in the bits of whole numbers.

    Source: Myers 1999 (doi:10.1145/316542.316550) in the form of Hyyrö 2003. A bit of `rises` (of
    `falls`) says that the table's entry is one more (one less) than that of the character before.
    """
    long, short = (one, other) if len(one) >= len(other) else (other, one)
    places: dict[str, int] = {}
    for place, character in enumerate(long):
        places[character] = places.get(character, 0) | 1 << place
    whole = (1 << len(long)) - 1
    last = 1 << len(long) >> 1
    rises, falls, distance = whole, 0, len(long)
    for character in short:
        equal = places.get(character, 0)
        same = (((equal & rises) + rises) ^ rises) | equal | falls
        more, less = falls | ~(same | rises) & whole, same & rises
        distance += bool(more & last) - bool(less & last)
        more, less = (more << 1 | 1) & whole, less << 1 & whole
        rises, falls = less | ~(same | more) & whole, same & more
    return distance if long else 0
