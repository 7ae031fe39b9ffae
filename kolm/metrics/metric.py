"""What a metric is: the shape that every file of this folder fills.

Stands under scoring: a metric judges one answer against one reference and knows nothing of cases,
images or models. Everything here is exact arithmetic, so that every machine gets the same score.
"""

from __future__ import annotations

from fractions import Fraction
from typing import ClassVar, NamedTuple, Protocol


class Score(NamedTuple):
    """The judgement of one answer: how right it is (0 to 1) and whether it could be read at all."""

    value: Fraction
    parsed: bool


RIGHT = Score(value=Fraction(1), parsed=True)
WRONG = Score(value=Fraction(0), parsed=True)
UNREAD = Score(value=Fraction(0), parsed=False)


class Metric(Protocol):
    """A pure function of an answer and its reference; its fields are its options, all fractions."""

    kind: ClassVar[str]
    """The metric's name in specs and locks."""

    @property
    def least_credit(self) -> Fraction:
        """The smallest score above 0 that it can give: 1 when every score is 0 or 1."""

    @property
    def laxity(self) -> Fraction:
        """Of two metrics of one kind, one that is no laxer gives no answer a higher score."""

    def score(self, output: str, reference: str) -> Score:
        """Judge `output` against `reference`."""

    def shortest_right(self, reference: str) -> str | None:
        """The shortest text that earns anything, or None where that is not known."""
