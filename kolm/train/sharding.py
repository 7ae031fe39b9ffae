"""Train: the frozen blocks of a base, laid over the processes of a training by torch's FSDP2.

Each process holds a part of every weight of the language blocks, and they put a block together when
it computes (`torch.distributed.fsdp.fully_shard`, arXiv:2304.11277). Tower, projector, embeddings,
head and everything that is trained are whole in each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kolm.models.device import CPU
from kolm.roles import Family
from kolm.train.processes import Processes

if TYPE_CHECKING:
    import torch
    from torch.distributed.device_mesh import DeviceMesh
    from transformers import PreTrainedModel


def shard(model: PreTrainedModel, family: Family, processes: Processes, device: str) -> None:
    """Lay the language blocks of a base over processes; before an adapter is put on it.

    Args:
        model: frozen, in the host's memory; it is changed in place and put on the device.
        family: its role table.
        processes: that train together.
        device: that they compute on.
    """
    if processes.size == 1:
        return
    from torch.distributed.device_mesh import init_device_mesh

    lay_over(model, family, init_device_mesh(device, (processes.size,)))


def lay_over(model: PreTrainedModel, family: Family, mesh: DeviceMesh) -> None:
    """The same over a mesh of devices."""
    from torch.distributed.fsdp import fully_shard

    stack = family.language.blocks
    around = model.get_submodule(stack.rpartition(".")[0])
    blocks: Any = model.get_submodule(stack)
    beside = {name: vars(parameter) for name, parameter in blocks.named_parameters()}
    for block in blocks:
        fully_shard(block, mesh=mesh)
    inside = {id(parameter) for parameter in blocks.parameters()}
    rest = {own for own in around.parameters() if id(own) not in inside}
    # The root of the blocks, with no weight of its own: one block is fetched while one computes.
    fully_shard(around, mesh=mesh, ignored_params=rest)
    blocks[0].register_forward_pre_hook(_with_a_gradient, prepend=True)
    if mesh.device_type != CPU:
        model.to(mesh.device_type)  # what is whole
    for name, parameter in blocks.named_parameters():
        vars(parameter).update(beside[name])  # such as how 4 bits are read, which PEFT asks for


def _with_a_gradient(_: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
    """Let every row's gradient reach the first block.

    In the backward pass a block is put together when a gradient comes to it. Without this a row
    with pictures, whose projector learns, would take blocks that a row of text alone does not
    take, and two processes with one of each would wait for each other for ever.
    """
    import torch

    if torch.is_grad_enabled() and given and not given[0].requires_grad:
        given[0].requires_grad_()


def is_shared(tensor: torch.Tensor) -> bool:
    """Whether each process holds a part of a tensor."""
    return hasattr(tensor, "full_tensor")  # a DTensor, whose library takes a second to import


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor itself, or put together where each process holds a part: all of them must ask."""
    found: torch.Tensor = tensor.full_tensor() if is_shared(tensor) else tensor  # type: ignore[attr-defined]
    return found
