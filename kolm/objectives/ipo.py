"""Identity preference optimisation (arXiv:2310.12036): a margin that is aimed at, not raised.

Equation 17, with τ the paper's regularisation, here `beta`:

    h = log[π(y_w|x)·π_ref(y_l|x) / (π(y_l|x)·π_ref(y_w|x))]
    L = (h − 1 / (2τ))²

Log-probabilities are sums over an answer's tokens, as the equation has them. TRL divides them by
the answer's tokens, so that its losses are others; its default of τ, 0.1, is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from kolm.objectives.objective import Number, Reference
from kolm.objectives.preference import ByMargin


@dataclass(frozen=True, slots=True, kw_only=True)
class Ipo(ByMargin):
    """`beta` is τ: the smaller, the farther apart the two answers shall be."""

    LEARNING_RATE: ClassVar[str] = "0.000005"
    SOURCE: ClassVar[str] = "as DPO's with LoRA"

    kind: Literal["ipo"] = "ipo"
    beta: str
    reference: Reference
    match_tokens: ClassVar[None] = None

    def loss(self, margin: Number) -> Number:
        """Equation 17, of which h is the margin divided by τ."""
        beta = float(self.beta)
        apart = (margin - 0.5) * (1 / beta)
        return apart * apart
