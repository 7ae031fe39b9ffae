"""A row of predictions.jsonl as Python values; its meaning is docs/format/predictions.md."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One answer of one run, and how it was judged."""

    output: str
    tokens: int  # generated, the token that ended the answer included
    finish: str  # stop: ended by itself | length: cut at max_new_tokens
    score: str  # 0 to 1, six places; 0 when not covered
    covered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The answers of the adapter, the base and the blind run to one eval case."""

    case: str
    batch: int  # which recorded batch held the case: the same one in all three runs
    cut: int  # tokens that the budget took out of its prompt
    adapter: Outcome
    base: Outcome
    blind: Outcome
