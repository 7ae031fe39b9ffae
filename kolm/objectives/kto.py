"""Kahneman-Tversky optimisation (arXiv:2402.01306): each answer is good or bad by itself.

Equation 8, with the chosen answers as desirable and the rejected ones as undesirable:

    r(x, y) = log π(y|x)/π_ref(y|x)
    z_0 = max(0, mean of r(x, y') over prompts x with answers y' to other prompts)
    L = mean of λ_D·[1 − σ(β(r(x, y_w) − z_0))] and λ_U·[1 − σ(β(z_0 − r(x, y_l)))]

z_0 stands in for the divergence from the reference. No gradient goes through it. Here it is the
mean over all pairs of a window, so that accumulation is exact, and y' is the chosen answer of the
next pair in the order of the snapshot. The defaults, β 0.1 and weights of 1, are those of TRL.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from kolm.objectives import preference
from kolm.objectives.objective import Facts, Number, Reference, Sides, Step, Terms
from kolm.objectives.preference import Pairs, softplus


@dataclass(frozen=True, slots=True, kw_only=True)
class Kto(Pairs):
    """`beta` is β; `desirable_weight` and `undesirable_weight` are λ_D and λ_U."""

    UNRELATED: ClassVar[bool] = True
    FACTS: ClassVar[tuple[str, ...]] = (*preference.FACTS, "reference_point")
    LEARNING_RATE: ClassVar[str] = "0.000005"
    SOURCE: ClassVar[str] = (
        "as DPO's with LoRA; TRL advises 5e-7 to 5e-6, and mostly at most 1e-6 where beta is 0.1"
    )

    kind: Literal["kto"] = "kto"
    beta: str
    desirable_weight: str
    undesirable_weight: str
    reference: Reference
    match_tokens: ClassVar[None] = None

    def terms(self, policy: Sides, reference: Sides, point: float = 0.0) -> Terms:
        """Equation 8; a reward is β·r."""
        zero = float(self.beta) * max(0.0, point)
        rewards = preference.rewards(float(self.beta), policy, reference)
        return Terms(
            losses=self._loss(rewards.chosen - zero, zero - rewards.rejected),
            rewards=rewards,
            more={"reference_point": rewards.chosen * 0 + zero},
        )

    def wrong_facts(self, facts: Facts, step: Step) -> Iterator[str]:
        """The loss of every pair lies between two bounds, and that of one pair is the formula's;
        z_0 is not negative, and 0 before anything is learned."""
        slope = float(self.beta)
        yield from preference.wrong_rewards(facts, step.pairs)
        yield from preference.wrong_start(facts, step, slope=slope, mean=self.MEAN)
        most = (float(self.desirable_weight) + float(self.undesirable_weight)) / 2
        loss = float(preference.number(step.loss))
        if loss > most + 1e-6:
            yield f"no pairs have a mean loss above {most}"
        zero = float(preference.number(facts["reference_point"]))
        if zero < 0:
            yield f"a reference point of {zero} is below 0"
        if step.pairs == 1:
            chosen, rejected = (
                float(preference.number(facts[name]))
                for name in ("chosen_reward", "rejected_reward")
            )
            due = self._loss(chosen - zero, zero - rejected)
            if abs(loss - due) > preference.slack(due):
                yield f"one pair with such rewards has a loss of {due:.6f}"
        noise = preference.start_noise(step, slope=slope, mean=self.MEAN)
        if step.first and zero > noise:
            yield f"a reference point of {zero} before anything was learned: at most {noise:.6f}"
        apart = preference.FROM_THE_MEAN * noise
        losses = [self._loss(one, other) for one in (-apart, apart) for other in (-apart, apart)]
        yield from preference.wrong_first_loss(step, losses)

    def _loss(self, chosen: Number, rejected: Number) -> Number:
        """Of a pair, by how far its chosen answer is above z_0 and its rejected one below."""
        good = float(self.desirable_weight) * (1 - _sigmoid(chosen))
        bad = float(self.undesirable_weight) * (1 - _sigmoid(rejected))
        return 0.5 * (good + bad)


def _sigmoid(value: Number) -> Number:
    if isinstance(value, float):
        return math.exp(-softplus(-value))
    return (-softplus(-value)).exp()
