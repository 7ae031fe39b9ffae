"""Planning: the operations of a step of a batch, trained in the ways that are compared."""

from __future__ import annotations

from typing import NamedTuple

from kolm.format.flops import Batched, Work, training_flops
from kolm.format.outline import Outline
from kolm.methods import Method
from kolm.methods.projector import Projector


class Step(NamedTuple):
    """What a step reads, and what the spec trains.

    Attributes:
        base: its outline.
        method: that the spec has.
        projector: what the spec trains of it.
        work: with backward, of each batch.
        unlabelled: forward alone, of each batch.
        pictured: the batch shows pictures.
        batches: that are added up to one step.
    """

    base: Outline
    method: Method
    projector: Projector
    work: Work
    unlabelled: Work
    pictured: bool
    batches: int = 1

    def terms(self) -> dict[str, int]:
        """By term, as the spec has it; in 4 bits the products are the same."""
        learned, other = (self.work, Work()) if self.pictured else (Work(), self.work)
        seen = Batched(learned, other, self.unlabelled)
        terms = training_flops(self.base, self.method, self.projector, seen)
        return {term: self.batches * count for term, count in terms.items()}

    def flops(self, *, full: bool, checkpointing: bool) -> int:
        """In sum. The tower is in none: its output is taken as recorded.

        Args:
            full: all weights of language role, head and projector are trained, instead of what the
                spec trains. The gradient of a weight takes as many products as forward does.
            checkpointing: blocks are computed again in the backward pass (arXiv:1604.06174).
        """
        forward = self._forward(None if full else self.method)
        if full:
            seen = Batched(self.work, Work(), self.unlabelled)
            total = sum(training_flops(self.base, None, "full", seen).values())
            total = self.batches * (total + forward["language"] + forward["head"])
        else:
            total = sum(self.terms().values())
        again = ("adapter", "attention", "language") if checkpointing else ()
        return total + self.batches * sum(forward[term] for term in again)

    def _forward(self, method: Method | None) -> dict[str, int]:
        return training_flops(self.base, method, "frozen", Batched(Work(), Work(), self.work))
