"""Train: the arithmetic of this process, measured: ``python -m kolm.train.arithmetic``.

Instruction sets are chosen at run time by three libraries (ATen, oneDNN, MKL), from the processor
and from variables; only the first says which one it took. So the choice is measured by what it
changes: a fixed set of operations on fixed numbers, and the digest of every bit that they give.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from kolm import canonical, digest
from kolm.digest import Digest

if TYPE_CHECKING:
    import torch


class Arithmetic(NamedTuple):
    """The vector instructions that ATen uses, and the digest of what fixed operations give."""

    capability: str
    results: Digest


def measure() -> Arithmetic:
    """Measure this process. Its result depends on the threads that torch is set to."""
    import torch
    from torch.nn import functional

    hasher = digest.Hasher()

    def note(*tensors: torch.Tensor) -> None:
        for tensor in tensors:
            hasher.update(tensor.detach().contiguous().view(torch.uint8).numpy().tobytes())

    for dtype in (torch.float32, torch.bfloat16):
        for rows, width in ((1, 48), (3, 192), (64, 192), (257, 512)):
            left = _numbers(rows, width).to(dtype)
            right = _numbers(width, 96).to(dtype)
            note(left @ right, functional.silu(left), functional.softmax(left, dim=-1))
            note(left.exp(), left.sin(), left.cos(), left.sum(dim=-1), left.pow(2).mean(dim=-1))
        head = _numbers(2, 4, 33, 24).reshape(2, 4, 33, 24).to(dtype)
        note(functional.scaled_dot_product_attention(head, head, head, is_causal=True))
        picture = _numbers(2, 3 * 2 * 32 * 32).reshape(2, 3, 2, 32, 32).to(dtype)
        kernel = _numbers(16, 3 * 2 * 8 * 8).reshape(16, 3, 2, 8, 8).to(dtype)
        note(functional.conv3d(picture, kernel, stride=(2, 8, 8)))
    return Arithmetic(torch.backends.cpu.get_cpu_capability(), hasher.digest())


def _numbers(*shape: int) -> torch.Tensor:
    """Numbers between -1 and 1 with full mantissas, from exact integer arithmetic."""
    import math

    import torch

    count = math.prod(shape)
    whole = (torch.arange(1, count + 1, dtype=torch.int64) * 2654435761) % 2**24
    return (whole.to(torch.float32) / 2**23 - 1).reshape(shape)


if __name__ == "__main__":
    sys.stdout.write(canonical.dumps(measure()._asdict()).decode())
