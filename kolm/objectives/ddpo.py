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

from dataclasses import dataclass
from typing import ClassVar, Literal

from kolm.objectives.objective import Number, Reference
from kolm.objectives.preference import ByMargin, softplus


@dataclass(frozen=True, slots=True, kw_only=True)
class Ddpo(ByMargin):
    """`beta` is β of DPO, `gamma` is γ, the weight of a corrected token."""

    MEAN: ClassVar[bool] = True
    LEARNING_RATE: ClassVar[str] = "0.000005"
    SOURCE: ClassVar[str] = "as DPO's with LoRA; RLHF-V (section 4.1) trains all weights with 5e-7"

    kind: Literal["ddpo"] = "ddpo"
    beta: str
    gamma: str
    match_tokens: int
    reference: Reference

    @property
    def corrected_weight(self) -> float:
        """γ."""
        return float(self.gamma)

    def loss(self, margin: Number) -> Number:
        """DPO's, over means in place of sums."""
        return softplus(-margin)
