"""Planning: a training's settings as far as memory depends on them, and others to compare with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from kolm.format.optimizer import OPTIMIZERS
from kolm.format.outline import Outline
from kolm.methods.projector import Projector
from kolm.planning.memory import (
    FUSED,
    MEASURED,
    Batch,
    Memory,
    Trained,
    need,
)
from kolm.planning.operations import Step

NUMBERS_OF_DEVICES: Final = (1, 2, 4, 8)


class Setting(NamedTuple):
    """What of a spec the memory depends on.

    Attributes:
        precision: that the base is held and computed in.
        four_bits: the base's language blocks are held in 4 bits.
        double: and the scales of those in 8 bits.
        optimizer: of the lock.
        numbers: that are trained.
        batch: what goes through the model at once.
        image_tokens: of a batch.
        adapted_tower: the tower is.
        projector: something of it is trained.
        branches: bytes that a position keeps of what the adapter computes.
        place_branches: bytes that a place of a picture keeps of it.
        checkpointing: activations are computed again in the backward pass.
        processes: that train together, each on a device of its own.
        on_cpu: libraries take the memory that a driver takes elsewhere, and the allocator more.
    """

    precision: str
    four_bits: bool
    double: bool
    optimizer: str
    numbers: int
    batch: Batch
    image_tokens: int = 0
    adapted_tower: bool = False
    projector: bool = False
    branches: int = 0
    place_branches: int = 0
    checkpointing: bool = False
    processes: int = 1
    on_cpu: bool = False

    def need(self, base: Outline) -> Memory:
        """The memory that kolm's own training takes, of each process."""
        return need(
            base,
            Trained(self.numbers, moments=moment_bytes(self.optimizer)),
            self.batch,
            precision=self.precision,
            footprint=MEASURED[self.precision],
            four_bits=self.four_bits,
            double=self.double,
            checkpointing=self.checkpointing,
            image_tokens=self.image_tokens,
            adapted_tower=self.adapted_tower,
            projector=self.projector,
            branches=self.branches,
            place_branches=self.place_branches,
            processes=self.processes,
            on_cpu=self.on_cpu,
        )


def moment_bytes(optimizer: str) -> int:
    """Bytes of both moments of a number; small tensors keep theirs in 32 bits."""
    return 2 if OPTIMIZERS[optimizer] == "bitsandbytes" else 8


class Compared(NamedTuple):
    """A way to train with any software: LoRA, on 4 bits or not, or all weights."""

    method: str
    checkpointing: bool
    devices: int
    memory: Memory
    flops: int


def compare(base: Outline, numbers: int, batch: Batch, step: Step) -> Iterator[Compared]:
    """The usual ways in bfloat16 with fused kernels, on one device or sharded over several.

    All weights: in bfloat16 with moments in bfloat16 (8 bytes each with gradient), and with
    weights and moments in float32 beside them (16 bytes each; arXiv:1910.02054, section 3.1).
    Operations are those of each device, which has a batch of its own.
    """
    whole = base.total
    ways = (
        ("full, mixed precision", Trained(whole, 0, 2, 12), False),
        ("full, bfloat16", Trained(whole, 0, 2, 4), False),
        ("lora", Trained(numbers), False),
        ("qlora", Trained(numbers), True),
    )
    for method, trained, four_bits in ways:
        for checkpointing in (False, True):
            memory = need(
                base,
                trained,
                batch,
                precision="bfloat16",
                footprint=FUSED,
                four_bits=four_bits,
                checkpointing=checkpointing,
            )
            flops = step.flops(full=trained.numbers == whole, checkpointing=checkpointing)
            for devices in NUMBERS_OF_DEVICES:
                yield Compared(method, checkpointing, devices, memory.sharded(devices), flops)


class Change(NamedTuple):
    """A change of a spec, and the setting with it and those before it."""

    line: str
    setting: Setting


def changes(
    setting: Setting, *, projector: Projector, numbers_without_projector: int
) -> list[Change]:
    """What a spec can save memory with, first what costs the least; each on top of those before."""
    found: list[Change] = []
    now = setting
    rows, length, labels = now.batch
    if rows > 1:
        now = now._replace(batch=Batch(1, length, max(1, labels // rows)))
        found.append(Change("train.batch_size: 1, with train.accumulation to match", now))
    if now.precision == "float32":
        now = now._replace(precision="bfloat16")
        found.append(Change("train.precision: bfloat16", now))
    if OPTIMIZERS[now.optimizer] != "bitsandbytes":
        now = now._replace(optimizer="adamw_8bit")
        found.append(Change("train.optimizer: adamw_8bit", now))
    if not now.four_bits:
        now = now._replace(four_bits=True, double=True)
        found.append(Change("train.quantisation: nf4", now))
    if now.adapted_tower:
        now = now._replace(adapted_tower=False)
        found.append(Change("train.freeze.vision: true", now))
    if projector == "full":
        now = now._replace(numbers=numbers_without_projector, projector=False)
        found.append(Change("train.projector: frozen", now))
    shorter = now
    while shorter.batch.length > 256:
        half = shorter.batch.length // 2
        shorter = shorter._replace(batch=Batch(shorter.batch.rows, half, shorter.batch.labels))
        found.append(Change(f"train.max_seq_length: {half}", shorter))
    return found
