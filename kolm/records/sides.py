"""The sides of a split: which captures are trained on, which are scored, which are neither."""

from __future__ import annotations

from typing import Final, Literal

Split = Literal["train", "validation", "eval"]
LEARNED: Final = ("train", "validation")  # whose captures a training reads
NO_SIDE: Final = "none"  # of a capture that is neither trained on nor scored
Placed = Split | Literal["none"]
