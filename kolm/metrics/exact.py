"""The exact metric: an answer is right when it equals the reference after normalising both.

The rule of docs/format/evaluation.md is its own reference implementation. It agrees with the
common ``ignore_case`` exact match of VQA harnesses, and adds three forgivenesses that do not change
what an answer says: Unicode composition, runs of white space, one full stop at the end. Articles,
other punctuation and digits written as words count.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import groupby
from typing import ClassVar, Final
from unicodedata import combining, normalize

from kolm.metrics.metric import RIGHT, UNREAD, WRONG, Score, best_of

# Python orders the combining marks of a run by insertion, which for 30,000 of them takes seconds.
_FEW_CHARACTERS: Final = 128


@lru_cache(maxsize=256)  # a reference is compared with three outputs, and many answers are alike
def normalise(text: str) -> str:
    """The form in which two answers are compared: folded, and without one full stop at the end.

    The space before the full stop goes with it.
    """
    folded = fold(text)
    return folded[:-1].rstrip() if folded.endswith(".") else folded


def fold(text: str) -> str:
    """The same for texts that differ in case, Unicode composition and white space alone.

    NFC, full case folding, NFC again (folding can take a text apart), every run of white space to
    one space, none at the ends.
    """
    # Case folding and composition are lower() and nothing for ASCII.
    folded = text.lower() if text.isascii() else _composed(_composed(text).casefold())
    return " ".join(folded.split())


def _composed(text: str) -> str:
    """NFC, in about linear time whatever the text: long ones are put in canonical order first."""
    if len(text) > _FEW_CHARACTERS:
        apart = "".join(normalize("NFD", character) for character in text)
        ordered: list[str] = []
        for _, run in groupby(apart, key=lambda character: combining(character) > 0):
            ordered += sorted(run, key=combining)
        text = "".join(ordered)
    return normalize("NFC", text)


@dataclass(frozen=True, slots=True)
class Exact:
    """Equality of normalised texts; an answer that normalises to nothing is not parsed."""

    kind: ClassVar[str] = "exact"
    least_credit: ClassVar[Fraction] = Fraction(1)

    def no_laxer_than(self, other: Exact) -> bool:
        """It has no options."""
        return True

    @best_of
    def score(self, output: str, reference: str) -> Score:
        """1 when both normalise to the same non-empty text, else 0."""
        answer = normalise(output)
        if not answer:
            return UNREAD
        return RIGHT if answer == normalise(reference) else WRONG

    def shortest_right(self, reference: str) -> str:
        """What the reference normalises to."""
        return normalise(reference)
