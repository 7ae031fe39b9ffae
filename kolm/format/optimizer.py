"""Format: the optimizers, in numbers, and what of their moments is really held in 8 bits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kolm.records.documents import Lock, ModulesRow, ReceiptVlmTrainOptimizer

OPTIMIZERS: Final = {
    "adamw": "torch, foreach=False, fused=False",
    "adamw_8bit": "bitsandbytes",
    "paged_adamw_8bit": "bitsandbytes",
}
BETAS: Final = (0.9, 0.999)
EPSILON: Final = 1e-8
# Blockwise moments in 8 bits (arXiv:2110.02861): of tensors that are worth it, in these blocks.
LEAST_8_BIT_ELEMENTS: Final = 4096
SCALE_BLOCK: Final = 256
MOMENTS: Final = ("exp_avg", "exp_avg_sq")

Form = tuple[str, tuple[int, ...]]


def moment_forms(optimizer: str, shape: Sequence[int]) -> dict[str, Form]:
    """Dtype and shape of all that an optimizer keeps for a tensor of this shape, by name."""
    count = math.prod(shape)
    if optimizer == "adamw" or count < LEAST_8_BIT_ELEMENTS:
        return {name: ("F32", tuple(shape)) for name in MOMENTS}
    scales: dict[str, Form] = {
        f"{name}_scales": ("F32", (-(-count // SCALE_BLOCK),)) for name in MOMENTS
    }
    return {name: ("U8", tuple(shape)) for name in MOMENTS} | scales


def uses_bitsandbytes(optimizer: str, quantisation: object) -> bool:
    """Whether a training's bits depend on bitsandbytes as well."""
    return quantisation is not None or OPTIMIZERS[optimizer] == "bitsandbytes"


def stated(lock: Lock, modules: Iterable[ModulesRow]) -> ReceiptVlmTrainOptimizer:
    """The receipt's ``vlm_train.optimizer``: the trained elements by how their moments were held.

    Only where there is an accelerator is there anything to page.
    """
    kind = lock["train"]["optimizer"]
    held = [(t["elements"], "moments" in t) for row in modules for t in row["adapter"]]
    return {
        "kind": kind,
        "library": OPTIMIZERS[kind],
        "paged": kind == "paged_adamw_8bit" and lock["environment"]["device"] != "cpu",
        "elements_8bit": sum(elements for elements, narrow in held if narrow),
        "elements_32bit": sum(elements for elements, narrow in held if not narrow),
    }
