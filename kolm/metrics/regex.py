"""The regex metric: what a pattern finds in an answer and in the reference is compared.

For answers that a model writes into a sentence, or that must have a form, such as a plate's. The
pattern says where the answer stands; whether it is right is then judged as by ``exact``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from kolm.metrics.exact import normalise
from kolm.metrics.metric import RIGHT, UNREAD, WRONG, Score, best_of
from kolm.metrics.patterns import compiled


@dataclass(frozen=True, slots=True)
class Regex:
    """`pattern` finds the answer: its one group, or the whole match where it has none."""

    pattern: str
    kind: ClassVar[str] = "regex"
    least_credit: ClassVar[Fraction] = Fraction(1)

    def __post_init__(self) -> None:
        compiled(self.pattern)

    def no_laxer_than(self, other: Regex) -> bool:
        """Only the same pattern: how much another one lets through is not known."""
        return self.pattern == other.pattern

    @best_of
    def score(self, output: str, reference: str) -> Score:
        """1 when both hold the same; an answer in which the pattern finds nothing is not parsed."""
        answer = self._found(output)
        if not answer:
            return UNREAD
        return RIGHT if answer == self._found(reference) else WRONG

    def shortest_right(self, reference: str) -> str | None:
        """Not known: what is around the group may be needed."""
        return None

    def _found(self, text: str) -> str:
        bare = text.strip()
        found = compiled(self.pattern).find(bare)
        return "" if found is None else normalise(bare[found.start : found.end])
