"""Planning: memory by term: weights, trained state, activations, logits, pictures, and the rest.

The terms are those of any training by backpropagation. How many bytes the blocks keep for the
backward pass depends on the software: `Footprint` says it for each number format, measured (docs/
concepts/plan.md has the table and how it was measured).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final, NamedTuple

from kolm.format.outline import Block, Outline

GIB: Final = 1 << 30
BYTES: Final[dict[str, int]] = {"float32": 4, "bfloat16": 2, "float16": 2}
# Of a number in 4 bits with the scales of its block of 64, and where those are in 8 bits
# themselves, in blocks of 256 (arXiv:2305.14314, section 3).
_FOUR_BITS: Final = Fraction(1, 2) + Fraction(4, 64)
_FOUR_BITS_DOUBLE: Final = Fraction(1, 2) + Fraction(1, 64) + Fraction(4, 64 * 256)
# What an accelerator's driver and libraries take of its memory before a tensor is made.
CONTEXT_BYTES: Final = GIB
# What torch, transformers and PEFT take of a process on the CPU: the peaks of bench/plan_peaks.py
# with pages for every tensor, less what is counted.
LIBRARIES_BYTES: Final = 470 << 20
# What glibc's allocator keeps of freed tensors between those in use, as a share of what forward
# keeps: the peaks of bench/plan_peaks.py without and with pages for every tensor, with glibc 2.36.
KEPT: Final = Fraction(17, 20)
# A block of at least that size has pages of its own in any case (mallopt(3), M_MMAP_THRESHOLD).
LARGE_BYTES: Final = 32 << 20
MARGIN: Final = Fraction(1, 10)  # of it all, for what allocators leave between tensors


class Footprint(NamedTuple):
    """Bytes that a block keeps for its backward pass, for each position.

    Attributes:
        hidden: for each number of the language role's width.
        inner: for each of the feed-forward layer's.
        attended: for each that attention gives.
        shared: for each that its keys have.
    """

    hidden: int
    inner: int
    attended: int = 0
    shared: int = 0

    def of(self, block: Block, hidden: int) -> int:
        """For one position of a block."""
        return sum(kept for _, kept in self.parts(block, hidden))

    def parts(self, block: Block, hidden: int) -> tuple[tuple[int, int], ...]:
        """For one position of a block: widths of tensors, and the bytes of all as wide."""
        inner = round(sum((m.products for m in block.stages[3]), Fraction(0)) / max(1, hidden))
        keys = min((m.outputs for m in block.stages[0]), default=0)
        return (
            (hidden, self.hidden * hidden),
            (inner, self.inner * inner),
            (block.attention, self.attended * block.attention),
            (keys, self.shared * keys),
        )


# Saved tensors of transformers' Llama and Qwen blocks under PEFT's LoRA, each storage once
# (docs/concepts/plan.md). In bfloat16 the norms and LoRA's inputs are kept in float32 as well.
MEASURED: Final[dict[str, Footprint]] = {
    "float32": Footprint(hidden=16, inner=16, attended=8, shared=8),
    "bfloat16": Footprint(hidden=28, inner=10, attended=8, shared=4),
}
# Fused kernels in 16 bits, without those copies: 12 numbers of the width and 4 of the inner one.
FUSED: Final = Footprint(hidden=24, inner=8)


class Trained(NamedTuple):
    """What is trained.

    Attributes:
        numbers: that change.
        weight: bytes of each number beside the base's own.
        gradient: bytes of its gradient.
        moments: bytes of the optimizer's two moments of it.
    """

    numbers: int
    weight: int = 4
    gradient: int = 4
    moments: int = 8

    @property
    def size_bytes(self) -> int:
        """All of it."""
        return self.numbers * (self.weight + self.gradient + self.moments)


class Batch(NamedTuple):
    """What goes through the model at once: rows of one padded length, and their labels."""

    rows: int
    length: int
    labels: int

    @property
    def positions(self) -> int:
        """Rows times length."""
        return self.rows * self.length


class Memory(NamedTuple):
    """Bytes by term."""

    weights: int
    state: int
    activations: int
    logits: int
    tower: int
    context: int
    kept: int = 0

    @property
    def total(self) -> int:
        """All terms."""
        return sum(self)

    @property
    def with_margin(self) -> int:
        """What a device should have."""
        return self.total + int(self.total * MARGIN)

    def sharded(self, devices: int) -> Memory:
        """For one of some devices that share weights and state (arXiv:2304.11277), each with a
        batch of its own."""
        return self._replace(weights=-(-self.weights // devices), state=-(-self.state // devices))


def weights_bytes(
    base: Outline, number_bytes: int, *, four_bits: bool = False, double: bool = True
) -> int:
    """The base's weights; with four bits the linear layers of its language blocks are smaller."""
    if not four_bits:
        return base.total * number_bytes
    narrow = sum(m.outputs * m.inputs for block in base.blocks for m in block.matrices)
    each = _FOUR_BITS_DOUBLE if double else _FOUR_BITS
    return (base.total - narrow) * number_bytes + int(narrow * each)


def laid_over(base: Outline, number_bytes: int, processes: int, *, four_bits: bool = False) -> int:
    """By how much less of the base each of several processes holds: they share the blocks' numbers.

    Of two blocks at a time a process holds all, one that computes and the next; scales of numbers
    in 4 bits are whole in each.
    """
    if processes == 1:
        return 0
    each = Fraction(1, 2) if four_bits else Fraction(number_bytes)
    sizes = [each * sum(m.outputs * m.inputs for m in block.matrices) for block in base.blocks]
    left = sum(sizes) / processes + 2 * max(sizes, default=Fraction(0))
    return max(0, int(sum(sizes) - left))


def activations_bytes(
    base: Outline,
    batch: Batch,
    footprint: Footprint,
    number_bytes: int,
    *,
    checkpointing: bool,
    branches: int = 0,
) -> int:
    """What forward keeps for backward, with a position's bytes of what an adapter computes beside.

    With checkpointing (arXiv:1604.06174) a block keeps what it read, and one block at a time is
    computed again.
    """
    each = [footprint.of(block, base.hidden) for block in base.blocks]
    if not checkpointing:
        return batch.positions * (sum(each) + branches)
    read = base.hidden * number_bytes * len(base.blocks)
    return batch.positions * (read + max(each, default=0))


def logits_bytes(base: Outline, labels: int, number_bytes: int) -> int:
    """Logits of the labels, the same in float32 where they are not, and their gradient."""
    wide = 4 if number_bytes == 4 else number_bytes + 4
    return labels * base.vocabulary * (wide + 4)


def pictures_bytes(
    base: Outline,
    image_tokens: int,
    footprint: Footprint,
    *,
    adapted: bool,
    projector: bool,
    branches: int = 0,
    number_bytes: int = 4,
) -> int:
    """What is kept of pictures: nothing of a frozen tower, whose output is recorded.

    Where the text attends to them, a block keeps of each place its keys before a norm, and keys and
    values of all heads.

    Args:
        base: its outline.
        image_tokens: that the projector gives.
        footprint: of the tower's blocks.
        adapted: the tower is.
        projector: something of it is trained, in float32: it keeps what it is given, and what each
            matrix reads and gives.
        branches: bytes of a place of what an adapter computes, where the text attends to places.
        number_bytes: of a number of the base.
    """
    first = base.projector[0].inputs if base.projector else 0
    own = 4 * (first + sum(m.inputs + m.outputs for m in base.projector)) if projector else 0
    merged = base.places or max(1, first // max(1, base.tower_width))  # patches that make a token
    tower = merged * sum(_tower_block(block, footprint) for block in base.vision) if adapted else 0
    attended = sum(
        number_bytes * (max(m.outputs for m in block.stages[0] if m.beside) + 2 * block.attention)
        for block in base.blocks
        if block.beside
    )
    return image_tokens * (base.places * (attended + branches) + (base.places or 1) * own + tower)


def _tower_block(block: Block, footprint: Footprint) -> int:
    hidden = max((m.outputs for m in block.stages[1]), default=0)
    return footprint.of(block, hidden)


def allocator_bytes(base: Outline, batch: Batch, footprint: Footprint, number_bytes: int) -> int:
    """What glibc's allocator keeps of the tensors of a training beside those in use."""
    widest = LARGE_BYTES // (batch.positions * number_bytes)
    parts = (part for block in base.blocks for part in footprint.parts(block, base.hidden))
    return int(KEPT * batch.positions * sum(kept for width, kept in parts if width < widest))


def need(
    base: Outline,
    trained: Trained,
    batch: Batch,
    *,
    precision: str,
    footprint: Footprint,
    four_bits: bool = False,
    double: bool = True,
    checkpointing: bool = False,
    image_tokens: int = 0,
    adapted_tower: bool = False,
    projector: bool = False,
    branches: int = 0,
    place_branches: int = 0,
    on_cpu: bool = False,
    processes: int = 1,
) -> Memory:
    """The memory of a training on one device, or on each of those of several processes."""
    number_bytes = BYTES[precision]
    # A process that adds gradients up itself holds its own, the sum, and those that it is told.
    told = 0 if processes == 1 else 2 * trained.numbers * trained.gradient
    return Memory(
        weights=weights_bytes(base, number_bytes, four_bits=four_bits, double=double)
        - laid_over(base, number_bytes, processes, four_bits=four_bits),
        state=trained.size_bytes + told,
        activations=activations_bytes(
            base,
            batch,
            footprint,
            number_bytes,
            checkpointing=checkpointing,
            branches=branches,
        ),
        logits=logits_bytes(base, batch.labels, number_bytes),
        tower=pictures_bytes(
            base,
            image_tokens,
            footprint,
            adapted=adapted_tower,
            projector=projector,
            branches=place_branches,
            number_bytes=number_bytes,
        ),
        context=LIBRARIES_BYTES if on_cpu else CONTEXT_BYTES,
        kept=allocator_bytes(base, batch, footprint, number_bytes) if on_cpu else 0,
    )
