"""Train: the processes that train together, and what they tell one another.

Each has the whole adapter and its optimizer, computes the same schedule and draws the same order,
and takes every so-manieth batch of a step; of the base's blocks each holds a part
(`kolm.train.sharding`). Between them bytes are moved and nothing is summed: every process adds the
gradients of a step up itself, in the order of the batches, as one process does. So how many there
are changes no bit (docs/adr/0085-several-processes.md).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from kolm.digest import Digest
from kolm.errors import KolmError
from kolm.models.device import CPU

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
# Nobody waits for a process that has ended: the parent ends the others. One may long be busy alone,
# with what it does before the others.
_PATIENCE = timedelta(days=7)


class Learned(NamedTuple):
    """What the forward and the backward pass over one batch came to.

    Attributes:
        loss: the sum over its label tokens, or over its pairs.
        real_tokens: that went through the model.
        facts: sums of what the objective states, by name.
    """

    loss: float
    real_tokens: int
    facts: Mapping[str, float]


class Processes(NamedTuple):
    """One of the processes that train together.

    Attributes:
        rank: its number, from 0; the first one alone writes files.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def each(
        self,
        batches: int,
        learn: Callable[[int], Learned],
        parameters: Sequence[torch.nn.Parameter],
    ) -> list[Learned]:
        """Learn from all batches of a step together; their gradients are then summed in each.

        Args:
            batches: how many; several processes share them evenly.
            learn: adds the gradients of a batch, by its number, to those that are there.
            parameters: that have gradients.

        Returns:
            What every batch came to, in their order.
        """
        if self.size == 1:
            return [learn(number) for number in range(batches)]
        learned: list[Learned] = []
        sums: list[torch.Tensor | None] = [None] * len(parameters)
        for number in range(0, batches, self.size):
            own = learn(number + self.rank)
            gradients = [parameter.grad for parameter in parameters]
            for parameter in parameters:
                parameter.grad = None
            there = [gradient is not None for gradient in gradients]
            for source, (found, given) in enumerate(self._told((own, there))):
                learned.append(found)
                # A batch without pictures gives the projector none, and none is not zero: what is
                # added to it may be -0.
                given_to = [i for i, is_there in enumerate(given) if is_there]
                shapes = [parameters[i] for i in given_to]
                parts = self._handed_on([gradients[i] for i in given_to], shapes, source)
                for i, part in zip(given_to, parts, strict=True):
                    held = sums[i]
                    sums[i] = part.clone() if held is None else held.add_(part)
        for parameter, total in zip(parameters, sums, strict=True):
            parameter.grad = total
        return learned

    def first_says(self, say: Callable[[], T]) -> T | None:
        """What the first process says, which alone is asked; it may be None."""
        import torch.distributed as dist

        if self.size == 1:
            return say()
        told = [say() if self.first else None]
        dist.broadcast_object_list(told, src=0)
        return told[0]

    @contextlib.contextmanager
    def first_before_others(self) -> Iterator[None]:
        """The first process does this block alone; then the others do it too."""
        import torch.distributed as dist

        if not self.first:
            dist.barrier()
        yield
        if self.first and self.size > 1:
            dist.barrier()

    def demand_one_state(self, state: Digest, step: int) -> None:
        """Demand that all processes have come to the same state.

        Raises:
            KolmError: ``E_TRAIN_PROCESSES_DIFFER``.
        """
        if self.size == 1:
            return
        states = self._told(state)
        if len(set(states)) > 1:
            odd = next(rank for rank, other in enumerate(states) if other != states[0])
            raise KolmError(
                "E_TRAIN_PROCESSES_DIFFER",
                "the processes of a training no longer have the same adapter",
                where=f"step {step}, process {odd}",
                expected=states[0],
                found=states[odd],
                hint="run the command again; it goes on from the last state that all had",
            )

    def _told(self, own: T) -> list[T]:
        """What every process tells, by rank."""
        import torch.distributed as dist

        told: list[Any] = [None] * self.size
        dist.all_gather_object(told, own)
        return told

    def _handed_on(
        self,
        gradients: Sequence[torch.Tensor | None],
        shapes: Sequence[torch.Tensor],
        source: int,
    ) -> list[torch.Tensor]:
        """The gradients of a process, in all of them.

        Args:
            gradients: this process's own; those of `source` are handed on.
            shapes: tensors of the same shapes.
            source: a rank.
        """
        import torch
        import torch.distributed as dist

        if not shapes:
            return []
        sizes = [tensor.numel() for tensor in shapes]
        if source == self.rank:
            flat = torch.cat([g.reshape(-1) for g in gradients if g is not None])
        else:
            flat = shapes[0].new_empty(sum(sizes))
        dist.broadcast(flat, src=source)
        parts = torch.split(flat, sizes)
        return [part.view(like.shape) for part, like in zip(parts, shapes, strict=True)]


ALONE = Processes()


@contextlib.contextmanager
def joined(rank: int, size: int, meeting: Path | None, device: str) -> Iterator[Processes]:
    """Join the other processes of a training, on this machine and without a network.

    Args:
        rank: of this process.
        size: how many there are.
        meeting: a file that does not exist yet, the same for all; None for one process.
        device: that they compute on.
    """
    if size == 1:
        yield ALONE
        return
    import torch.distributed as dist

    assert meeting is not None  # the parent gives it to several
    dist.init_process_group(
        "gloo" if device == CPU else f"cpu:gloo,{device}:nccl",
        store=dist.FileStore(str(meeting), size),  # type: ignore[attr-defined]  # documented
        rank=rank,
        world_size=size,
        timeout=_PATIENCE,
    )
    try:
        yield Processes(rank, size)
    finally:
        dist.destroy_process_group()
