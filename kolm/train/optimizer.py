"""Train: AdamW with its moments in 32 bits or, in blocks, in 8; and these moments by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from kolm.extras import missing_extra
from kolm.format.optimizer import BETAS, EPSILON, LEAST_8_BIT_ELEMENTS

if TYPE_CHECKING:
    import torch

    from kolm.adapters.attach import AdapterTensor
    from kolm.train.plan import TrainPlan

# What a checkpoint calls a moment, and what bitsandbytes calls it.
_IN_8_BITS: Final = {
    "exp_avg": "state1",
    "exp_avg_sq": "state2",
    "exp_avg_scales": "absmax1",
    "exp_avg_sq_scales": "absmax2",
}


def make_optimizer(plan: TrainPlan, tensors: Sequence[AdapterTensor]) -> torch.optim.Optimizer:
    """The optimizer of a plan, with a group for the projector and one for all else.

    Without fused or foreach kernels, whose sums depend on how tensors are grouped.

    Raises:
        Lacking: bitsandbytes is not installed, or does not work here.
    """
    import torch

    groups: list[dict[str, object]] = []
    for projector in (False, True):
        members = [tensor.parameter for tensor in tensors if tensor.projector is projector]
        if members:
            groups.append({"params": members, "lr": 0.0, "projector": projector})
    common: dict[str, Any] = {"betas": BETAS, "eps": EPSILON, "weight_decay": plan.weight_decay}
    if plan.optimizer == "adamw":
        return torch.optim.AdamW(groups, foreach=False, fused=False, **common)
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        raise missing_extra("train", f"moments in 8 bits need {error.name}") from error
    made: torch.optim.Optimizer = AdamW8bit(
        groups,
        min_8bit_size=LEAST_8_BIT_ELEMENTS,
        # Elsewhere there is no second memory to page to.
        is_paged=plan.optimizer == "paged_adamw_8bit" and plan.device == "cuda",
        **common,
    )
    return made


class Moments:
    """The moments of an optimizer, by the names of checkpoints."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        # bitsandbytes has two tables of values, which no training changes.
        self._tables: Mapping[str, torch.Tensor] | None = getattr(optimizer, "name2qmap", None)

    def of(self, parameter: torch.Tensor) -> dict[str, torch.Tensor]:
        """What is kept of a parameter; nothing before its first update."""
        state = self._optimizer.state.get(parameter, {})
        names = {name: name for name in _IN_8_BITS} if self._tables is None else _IN_8_BITS
        return {name: state[key] for name, key in names.items() if key in state}

    def updates(self, parameter: torch.Tensor) -> int:
        """How often a parameter was updated."""
        return int(self._optimizer.state.get(parameter, {}).get("step", 0))

    def restore(
        self, parameter: torch.Tensor, updates: int, moments: Mapping[str, torch.Tensor]
    ) -> None:
        """Go on with what `of` and `updates` gave."""
        import torch

        there = parameter.device
        kept = {name: moment.to(there, copy=True) for name, moment in moments.items()}
        state: dict[str, object] = {"step": torch.tensor(float(updates)), **kept}
        if self._tables is not None:
            state = {"step": updates, **{_IN_8_BITS[name]: kept[name] for name in kept}}
            if kept["exp_avg"].dtype == torch.uint8:
                signed, unsigned = self._tables["dynamic"], self._tables["udynamic"]
                state |= {"qmap1": signed.to(there), "qmap2": unsigned.to(there)}
        self._optimizer.state[parameter] = state
