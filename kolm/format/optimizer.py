"""Format: the optimizer of this format's version, in words for the receipt and in numbers."""

from __future__ import annotations

from typing import Final

OPTIMIZER: Final = "AdamW (torch, foreach=False, fused=False)"
BETAS: Final = (0.9, 0.999)
EPSILON: Final = 1e-8
