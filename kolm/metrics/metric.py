"""What a metric is: the shape that every file of this folder fills.

Stands under scoring: a metric judges one answer against one reference and knows nothing of cases,
images or models. Everything here is exact arithmetic, so that every machine gets the same score.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple, Protocol


class Score(NamedTuple):
    """The judgement of one answer: how right it is (0 to 1) and whether it could be read at all."""

    value: Fraction
    parsed: bool


class Metric(Protocol):
    """A pure function of an answer and its reference."""

    @property
    def kind(self) -> str:
        """The metric's name in specs and locks."""

    @property
    def binary(self) -> bool:
        """True when every score is 0 or 1, which decides the interval and the paired test."""

    def score(self, output: str, reference: str) -> Score:
        """Judge `output` against `reference`."""
