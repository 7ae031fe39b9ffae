"""Dense direct preference optimisation (RLHF-V, arXiv:2312.00849): corrected segments count more.

An answer's log-probability is a weighted mean over its tokens, equation 5 of the paper, with y_u
the unchanged and y_c the corrected ones:

    log π(y|x) = 1/N · [Σ_{y_i ∈ y_u} log p(y_i|x, y_<i) + γ·Σ_{y_i ∈ y_c} log p(y_i|x, y_<i)]
    N = |y_u| + γ·|y_c|

It takes the place of the sum in DPO's loss, for both answers and for the reference. Which tokens
were corrected comes from a capture's corrections, else from the difference of its answers. The
defaults, β 0.5 and γ 5, are the paper's (section 4.1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from kolm.objectives import preference
from kolm.objectives.objective import Reference, Sides, Step, Terms

if TYPE_CHECKING:
    from kolm.records.documents import TraceRowStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Ddpo:
    """`beta` is β of DPO, `gamma` is γ, the weight of a corrected token."""

    PAIRED: ClassVar[bool] = True
    MEAN: ClassVar[bool] = True
    UNRELATED: ClassVar[bool] = False
    FACTS: ClassVar[tuple[str, ...]] = preference.FACTS
    LEARNING_RATE: ClassVar[str] = "0.000005"
    SOURCE: ClassVar[str] = "as DPO's with LoRA; RLHF-V (section 4.1) trains all weights with 5e-7"

    kind: Literal["ddpo"] = "ddpo"
    beta: str
    gamma: str
    match_tokens: int
    reference: Reference

    def weight(self, corrected: Any) -> Any:
        """γ for a corrected token, 1 for another."""
        return corrected * (float(self.gamma) - 1) + 1

    def terms(self, policy: Sides, reference: Sides, point: float = 0.0) -> Terms:
        """DPO's formula; a reward is β times the logarithm of the ratio to the reference."""
        rewards = preference.rewards(float(self.beta), policy, reference)
        return Terms(losses=self._loss(rewards.chosen - rewards.rejected), rewards=rewards)

    def wrong_facts(self, facts: Mapping[str, Any], step: Step) -> Iterator[str]:
        """The loss is a convex function of the margin."""
        yield from preference.wrong_rewards(facts, step.pairs)
        yield from preference.wrong_loss(facts, step.loss, self._loss)
        yield from preference.wrong_start(facts, step, slope=float(self.beta), mean=self.MEAN)

    def receipt(self, last: Sequence[TraceRowStep]) -> dict[str, object]:
        """The settings, and how the last segment's pairs were told apart."""
        return preference.receipt(self, last)

    def _loss(self, margin: Any) -> Any:
        return preference.softplus(-margin)
