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

from dataclasses import dataclass
from typing import ClassVar, Literal

from kolm.objectives.objective import Number, Reference
from kolm.objectives.preference import ByMargin, softplus


@dataclass(frozen=True, slots=True, kw_only=True)
class Dpo(ByMargin):
    """`beta` is β, how far the policy may leave the reference; `label_smoothing` is ε."""

    LEARNING_RATE: ClassVar[str] = "0.000005"
    SOURCE: ClassVar[str] = (
        "the alignment handbook's DPO with LoRA (zephyr-7b-dpo-qlora, beta 0.01): 5e-6"
    )

    kind: Literal["dpo"] = "dpo"
    beta: str
    label_smoothing: str
    reference: Reference
    match_tokens: ClassVar[None] = None

    def loss(self, margin: Number) -> Number:
        """Equation 7, smoothed."""
        smooth = float(self.label_smoothing)
        loss = (1 - smooth) * softplus(-margin)
        return loss + smooth * softplus(margin) if smooth else loss
