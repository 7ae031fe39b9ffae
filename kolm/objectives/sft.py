"""Supervised fine-tuning: the cross-entropy of the labels and of nothing else.

The loss is a sum over label tokens. Dividing by the number of label tokens of the whole
accumulation window, and not by that of each part, is what makes accumulation exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from kolm.objectives.objective import Facts, Sides, Step, Terms

if TYPE_CHECKING:
    from kolm.records.documents import TraceRowStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Sft:
    """It has no settings."""

    PAIRED: ClassVar[bool] = False
    MEAN: ClassVar[bool] = False
    UNRELATED: ClassVar[bool] = False
    FACTS: ClassVar[tuple[str, ...]] = ()
    LEARNING_RATE: ClassVar[str] = "0.0002"
    SOURCE: ClassVar[str] = "arXiv:2305.14314, table 9: LoRA on models of 7B and 13B"

    kind: Literal["sft"] = "sft"

    reference: ClassVar[None] = None
    match_tokens: ClassVar[None] = None
    corrected_weight: ClassVar[float] = 1.0

    def terms(self, policy: Sides, reference: Sides, point: float = 0.0) -> Terms:
        """The negative log-probability of the reference answer."""
        return Terms(losses=-policy.chosen, rewards=policy)

    def wrong_facts(self, facts: Facts, step: Step) -> Iterator[str]:
        """A step states nothing beside its loss."""
        yield from ()

    def receipt(self, last: Sequence[TraceRowStep]) -> dict[str, object]:
        """Its name."""
        return {"kind": self.kind}
