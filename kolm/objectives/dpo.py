"""Direct preference optimisation (arXiv:2305.18290): the chosen answer more likely than the
rejected one, by more than the model before training has it.

With π(y|x) the product over an answer's tokens, equation 7:

    L = −log σ(β·[log π(y_w|x)/π_ref(y_w|x) − log π(y_l|x)/π_ref(y_l|x)])

With `label_smoothing` ε the labels are taken to be wrong in that share of the pairs
(arXiv:2305.18290 has none; conservative DPO, ericmitchell.ai/cdpo.pdf, equation 3):

    L = −(1 − ε)·log σ(βh) − ε·log σ(−βh)

The default of β, 0.1, is the paper's (appendix B).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from kolm.objectives import preference
from kolm.objectives.objective import Reference, Sides, Step, Terms
from kolm.objectives.preference import softplus

if TYPE_CHECKING:
    from kolm.records.documents import TraceRowStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Dpo:
    """`beta` is β, how far the policy may leave the reference; `label_smoothing` is ε."""

    PAIRED: ClassVar[bool] = True
    MEAN: ClassVar[bool] = False
    UNRELATED: ClassVar[bool] = False
    FACTS: ClassVar[tuple[str, ...]] = preference.FACTS
    LEARNING_RATE: ClassVar[str] = "0.000005"
    SOURCE: ClassVar[str] = (
        "the alignment handbook's DPO with LoRA (zephyr-7b-dpo-qlora, beta 0.01): 5e-6"
    )

    kind: Literal["dpo"] = "dpo"
    beta: str
    label_smoothing: str
    reference: Reference

    @property
    def match_tokens(self) -> None:
        """None: every token counts the same."""

    def weight(self, corrected: Any) -> Any:
        """Every token counts once."""
        return corrected * 0 + 1

    def terms(self, policy: Sides, reference: Sides, point: float = 0.0) -> Terms:
        """Equation 7; a reward is β times the logarithm of the ratio to the reference."""
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
        smooth = float(self.label_smoothing)
        loss = (1 - smooth) * softplus(-margin)
        return loss + smooth * softplus(margin) if smooth else loss
