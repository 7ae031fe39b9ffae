"""Simple preference optimisation (arXiv:2405.14734): the mean log-probability is the reward.

Equation 6, without any reference:

    L = −log σ(β/|y_w|·log π(y_w|x) − β/|y_l|·log π(y_l|x) − γ)

The defaults are the authors': β 2, and γ half of it to begin with (github.com/princeton-nlp/SimPO).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from kolm.objectives import preference
from kolm.objectives.objective import Facts, Number, Sides, Step, Terms
from kolm.objectives.preference import Pairs, softplus


@dataclass(frozen=True, slots=True, kw_only=True)
class Simpo(Pairs):
    """`beta` is β, `gamma` is γ, the margin that rewards shall have at least."""

    MEAN: ClassVar[bool] = True
    LEARNING_RATE: ClassVar[str] = "0.000005"
    SOURCE: ClassVar[str] = "as DPO's with LoRA; the authors train all weights with 3e-7 to 1e-6"

    kind: Literal["simpo"] = "simpo"
    beta: str
    gamma: str

    reference: ClassVar[None] = None
    match_tokens: ClassVar[None] = None

    def terms(self, policy: Sides, reference: Sides, point: float = 0.0) -> Terms:
        """Equation 6; a reward is β times the mean log-probability."""
        beta = float(self.beta)
        rewards = Sides(beta * policy.chosen, beta * policy.rejected)
        return Terms(losses=self._loss(rewards.chosen - rewards.rejected), rewards=rewards)

    def wrong_facts(self, facts: Facts, step: Step) -> Iterator[str]:
        """The loss is a convex function of the margin; a log-probability is not above 0."""
        yield from preference.wrong_rewards(facts, step.pairs)
        yield from preference.wrong_loss(facts, step, self._loss)
        for name in ("chosen_reward", "rejected_reward"):
            if preference.number(facts[name]) > 0:
                yield f"{name} is {facts[name]}, and a log-probability is not above 0"

    def _loss(self, margin: Number) -> Number:
        return softplus(float(self.gamma) - margin)
