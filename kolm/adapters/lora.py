"""Adapters: LoRA's product is scaled where it is narrow.

PEFT multiplies what a layer adds by alpha / rank: numbers of the layer's whole width, in the
forward pass and again in the backward pass. Between the two factors there are only as many as the
rank. Where alpha / rank is a power of two, as it is by default, both orders give the same bits: the
product changes exponents alone, and so do all sums that follow.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import Linear
from peft.tuners.lora.layer import LoraVariant


class ScaledEarly(LoraVariant):  # type: ignore[misc]  # PEFT comes without types
    """LoRA as PEFT computes it, in another order."""

    @staticmethod
    def forward(
        module: Any, active_adapter: str, x: torch.Tensor, result: torch.Tensor, **_: object
    ) -> torch.Tensor:
        """What the layer gives, (…, out), from its input (…, in) and the base's own result."""
        narrow = module.lora_A[active_adapter](module.lora_dropout[active_adapter](x))
        scaling = module.scaling[active_adapter]
        added: torch.Tensor = module.lora_B[active_adapter](narrow * scaling)
        return result + added


def scale_early(wrapped: PeftModel) -> None:
    """Change the order of the linear layers whose scaling is a power of two, and of no other."""
    for module in wrapped.modules():
        if isinstance(module, Linear):
            for name, scaling in module.scaling.items():
                if name not in module.lora_variant and math.frexp(scaling)[0] == 0.5:
                    module.lora_variant[name] = ScaledEarly()
