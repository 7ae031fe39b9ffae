"""The evaluation document as Python values; its meaning is docs/format/evaluation.md.

Every fraction is a canonical decimal string with at most six places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A 95 % interval of a mean score."""

    method: str  # wilson | bootstrap
    level: str
    low: str
    high: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """The mean score of one of the three runs over all declared cases."""

    accuracy: str
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Majority:
    """What always giving the most frequent reference answer would score."""

    answer: str
    accuracy: str
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Cases that only the adapter, or only the base, answers better, and the exact test of it."""

    adapter_only: int
    base_only: int
    p: str
    method: str  # mcnemar-exact | sign-exact


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The adapter's mean score on the cases that share a tag, an image size or an answer type."""

    kind: str
    value: str
    cases: int
    accuracy: str
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """One demanded minimum (for p: maximum) and what was observed."""

    name: str
    demanded: str
    observed: str
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How the adapter, its base and the controls did on every declared case."""

    schema: str
    metric: dict[str, Any]
    cases: int
    covered: int
    images: int
    adapter: Accuracy
    base: Accuracy
    blind: Accuracy
    majority: Majority
    paired: Paired
    slices: tuple[Slice, ...]
    floors: tuple[Floor, ...]
    floors_passed: bool
