"""The evaluation document as Python values; its meaning is docs/format/evaluation.md.

Every fraction is a canonical decimal string with at most six places.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Interval(NamedTuple):
    """A 95 % interval of a mean score."""

    method: str  # wilson
    level: str
    low: str
    high: str


class Accuracy(NamedTuple):
    """The mean score of one of the three runs over all declared cases."""

    accuracy: str
    interval: Interval


class Majority(NamedTuple):
    """What always giving the most frequent reference answer would score."""

    answer: str
    accuracy: str
    interval: Interval


class Paired(NamedTuple):
    """Cases that only the adapter, or only the base, answers better, and the exact test of it."""

    adapter_only: int
    base_only: int
    p: str
    method: str  # mcnemar-exact | sign-exact


class Slice(NamedTuple):
    """The adapter's mean score on the cases that share a tag, an image size or an answer type."""

    kind: str
    value: str
    cases: int
    accuracy: str
    interval: Interval


class Floor(NamedTuple):
    """One demanded minimum (for p: maximum) and what was observed.

    Where nothing is demanded, `demanded` and `passed` are None.
    """

    name: str
    demanded: str | None
    observed: str
    passed: bool | None


class Evaluation(NamedTuple):
    """How the adapter, its base and the controls did on every declared case.

    Attributes:
        distinct_questions: how many of the cases differ in pictures or in what a person reads.
    """

    schema: str
    metric: dict[str, Any]
    cases: int
    covered: int
    distinct_questions: int
    cut_prompts: int  # cases whose prompt was cut to the token budget
    images: int
    adapter: Accuracy
    base: Accuracy
    blind: Accuracy
    majority: Majority
    paired: Paired
    slices: tuple[Slice, ...]
    floors: tuple[Floor, ...]
    floors_passed: bool
