"""Identity preference optimisation (arXiv:2310.12036): a margin that is aimed at, not raised.

Equation 17, with τ the paper's regularisation, here `beta`:

    h = log[π(y_w|x)·π_ref(y_l|x) / (π(y_l|x)·π_ref(y_w|x))]
    L = (h − 1 / (2τ))²

Log-probabilities are sums over an answer's tokens, as the equation has them. TRL divides them by
the answer's tokens, so that its losses are others; its default of τ, 0.1, is taken.
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
class Ipo:
    """`beta` is τ: the smaller, the farther apart the two answers shall be."""

    PAIRED: ClassVar[bool] = True
    MEAN: ClassVar[bool] = False
    UNRELATED: ClassVar[bool] = False
    FACTS: ClassVar[tuple[str, ...]] = preference.FACTS
    LEARNING_RATE: ClassVar[str] = "0.000005"
    SOURCE: ClassVar[str] = "as DPO's with LoRA"

    kind: Literal["ipo"] = "ipo"
    beta: str
    reference: Reference

    @property
    def match_tokens(self) -> None:
        """None: every token counts the same."""

    def weight(self, corrected: Any) -> Any:
        """Every token counts once."""
        return corrected * 0 + 1

    def terms(self, policy: Sides, reference: Sides, point: float = 0.0) -> Terms:
        """Equation 17; a reward is τ times the logarithm of the ratio to the reference."""
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
        # h is the margin divided by τ.
        beta = float(self.beta)
        apart = (margin - 0.5) * (1 / beta)
        return apart * apart
