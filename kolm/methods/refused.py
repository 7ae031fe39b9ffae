"""Ways to train that have a name elsewhere and are no method here: why not, and what to take."""

from __future__ import annotations

from typing import Final, NamedTuple

from kolm.errors import Refused


class RefusedMethod(NamedTuple):
    """Why a method is refused, and what does its work."""

    reason: str
    instead: str


_FULL = RefusedMethod(
    "its delta is the whole model: a bundle would be as large as its base, and "
    "nothing in it would be frozen",
    "lora with a larger rank; projector: full, the default, trains the projector whole",
)
_QLORA = RefusedMethod(
    "it is LoRA on a base in 4 bits, and each is said by its own key",
    "train.method: lora and train.quantisation: nf4",
)
_EVERY_LAYER = RefusedMethod(
    "it is what prefix does: learned keys and values in every layer",
    "train.method: prefix",
)

REFUSED: Final = {
    "full": _FULL,
    "full_finetuning": _FULL,
    "qlora": _QLORA,
    "p_tuning_v2": _EVERY_LAYER,
}


def refused_method(kind: str) -> Refused | None:
    """The error of a method with such a name, whatever its hyphens and capitals; None without."""
    refused = REFUSED.get(kind.lower().replace("-", "_"))
    if refused is None:
        return None
    return Refused(
        "E_TRAIN_METHOD",
        f"kolm has no method {kind[:80]}: {refused.reason}",
        where="train.method",
        found=kind[:80],
        hint=refused.instead,
    )
