"""Train: the arithmetic of this process, measured: ``python -m kolm.train.arithmetic DEVICE …``.

Instruction sets are chosen at run time by three libraries (ATen, oneDNN, MKL), from the processor
and from variables; only the first says which one it took. So the choice is measured by what it
changes: a fixed set of operations on fixed numbers, and the digest of every bit that they give.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from kolm import canonical, digest
from kolm.digest import Digest
from kolm.models import device as devices

if TYPE_CHECKING:
    import torch

    from kolm.records.documents import LockEnvironmentAccelerator


class Arithmetic(NamedTuple):
    """What a process computes on and with.

    Attributes:
        device: the kind of device.
        capability: the vector instructions that ATen uses.
        results: digest of what fixed operations give on the device.
        bfloat16: whether the device computes in it itself.
        accelerator: of a device that is not the CPU, what its bits depend on.
    """

    device: str
    capability: str
    results: Digest
    bfloat16: bool
    accelerator: LockEnvironmentAccelerator | None


def measure(device: str) -> Arithmetic:
    """Measure this process on a device that is here, as `devices.settle` has settled it.

    Its result depends on the threads that torch is set to.
    """
    import torch
    from torch.nn import functional

    hasher = digest.Hasher()

    def note(*tensors: torch.Tensor) -> None:
        for tensor in tensors:
            found = tensor.detach().cpu().contiguous()
            hasher.update(found.view(torch.uint8).numpy().tobytes())

    def numbers(*shape: int) -> torch.Tensor:
        return _numbers(*shape).to(device)

    for dtype in (torch.float32, torch.bfloat16):
        for rows, width in ((1, 48), (3, 192), (64, 192), (257, 512)):
            left = numbers(rows, width).to(dtype)
            right = numbers(width, 96).to(dtype)
            note(left @ right, functional.silu(left), functional.softmax(left, dim=-1))
            note(left.exp(), left.sin(), left.cos(), left.sum(dim=-1), left.pow(2).mean(dim=-1))
        head = numbers(2, 4, 33, 24).to(dtype)
        note(functional.scaled_dot_product_attention(head, head, head, is_causal=True))
        picture = numbers(2, 3, 2, 32, 32).to(dtype)
        kernel = numbers(16, 3, 2, 8, 8).to(dtype)
        note(functional.conv3d(picture, kernel, stride=(2, 8, 8)))
    return Arithmetic(
        device=device,
        capability=torch.backends.cpu.get_cpu_capability(),
        results=hasher.digest(),
        bfloat16=devices.has_bfloat16(device),
        accelerator=devices.describe(device),
    )


def _numbers(*shape: int) -> torch.Tensor:
    """Numbers between -1 and 1 with full mantissas, from exact integer arithmetic."""
    import math

    import torch

    count = math.prod(shape)
    whole = (torch.arange(1, count + 1, dtype=torch.int64) * 2654435761) % 2**24
    return (whole.to(torch.float32) / 2**23 - 1).reshape(shape)


def answer(wanted: Sequence[str]) -> dict[str, object]:
    """The measurement of the first of these devices that is here; without one, what is here."""
    import torch

    device = devices.first_here(wanted)
    if device is None:
        return {"here": list(devices.here())}
    devices.settle(device, torch.get_num_threads())
    return measure(device)._asdict()


if __name__ == "__main__":
    sys.stdout.write(canonical.dumps(answer(sys.argv[1:])).decode())
