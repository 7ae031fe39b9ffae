"""Odds ratio preference optimisation (arXiv:2403.07691): supervised learning with a penalty.

Equations 6 and 7, with p(y|x) = exp of the mean log-probability of an answer's tokens:

    odds(y|x) = p(y|x) / (1 − p(y|x))
    L = −log p(y_w|x) − λ·log σ(log[odds(y_w|x) / odds(y_l|x)])

There is no reference. The first term is the mean over a chosen answer's tokens, so that every pair
counts the same however long its answers are. The default of λ, 0.1, is that of the authors' scripts
(github.com/xfactlab/orpo).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from kolm.objectives import preference
from kolm.objectives.objective import Facts, Number, Sides, Step, Terms
from kolm.objectives.preference import Pairs, softplus


@dataclass(frozen=True, slots=True, kw_only=True)
class Orpo(Pairs):
    """`odds_weight` is λ."""

    MEAN: ClassVar[bool] = True
    FACTS: ClassVar[tuple[str, ...]] = (*preference.FACTS, "supervised_loss")
    LEARNING_RATE: ClassVar[str] = "0.000008"
    SOURCE: ClassVar[str] = (
        "usual with LoRA (huggingface.co/blog/mlabonne/orpo-llama-3): 8e-6; "
        "the authors' scripts train all weights with 5e-6"
    )

    kind: Literal["orpo"] = "orpo"
    odds_weight: str

    reference: ClassVar[None] = None
    match_tokens: ClassVar[None] = None

    def terms(self, policy: Sides, reference: Sides, point: float = 0.0) -> Terms:
        """Equation 6; a reward is the logarithm of an answer's odds."""
        odds = Sides(_log_odds(policy.chosen), _log_odds(policy.rejected))
        supervised = -policy.chosen
        penalty = float(self.odds_weight) * softplus(odds.rejected - odds.chosen)
        return Terms(supervised + penalty, odds, {"supervised_loss": supervised})

    def wrong_facts(self, facts: Facts, step: Step) -> Iterator[str]:
        """The loss is the supervised one and a convex function of the margin."""
        yield from preference.wrong_rewards(facts, step.pairs)
        supervised = float(preference.number(facts["supervised_loss"]))
        if supervised < 0:
            yield f"a supervised loss of {supervised} would be of tokens more than certain"

        def least(margin: float) -> float:
            found: float = supervised + float(self.odds_weight) * softplus(-margin)
            return found

        yield from preference.wrong_loss(facts, step, least)


def _log_odds(mean: Number) -> Number:
    """log(p / (1 − p)) of a mean log-probability."""
    return mean - preference.log_of_rest(mean)
