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

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from kolm.objectives import preference
from kolm.objectives.objective import Reference, Sides, Step, Terms
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
        good = float(self.desirable_weight) * (1 - _sigmoid(rewards.chosen - zero))
        bad = float(self.undesirable_weight) * (1 - _sigmoid(zero - rewards.rejected))
        return Terms(
            losses=0.5 * (good + bad),
            rewards=rewards,
            more={"reference_point": rewards.chosen * 0 + zero},
        )

    def wrong_facts(self, facts: Mapping[str, Any], step: Step) -> Iterator[str]:
        """The loss of every pair lies between two bounds; z_0 is not negative."""
        yield from preference.wrong_rewards(facts, step.pairs)
        yield from preference.wrong_start(facts, step, slope=float(self.beta), mean=self.MEAN)
        most = (float(self.desirable_weight) + float(self.undesirable_weight)) / 2
        if float(preference.number(step.loss)) > most + 1e-6:
            yield f"no pairs have a mean loss above {most}"
        if preference.number(facts["reference_point"]) < 0:
            yield f"a reference point of {facts['reference_point']} is below 0"


def _sigmoid(value: Any) -> Any:
    return (-softplus(-value)).exp()
