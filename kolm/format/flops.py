"""Format: how many floating point operations a training takes, from shapes and counts alone.

A product of matrices m × k and k × n counts 2mkn, as torch's FlopCounterMode has it. Counted are
the linear layers, attention, the head and the adapter's matrices, forward and backward; norms,
activations, softmax and the optimizer are not, and neither is the recurrence of linear attention.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from kolm.format.outline import Matrix, Outline
from kolm.methods import Method
from kolm.methods.projector import Projector

# Products of one multiplication: forward, for the gradient of what is read, and of the weight.
FORWARD: Final = 2
INPUT: Final = 2
WEIGHT: Final = 2
TERMS: Final = ("adapter", "attention", "head", "language", "projector")


class Work(NamedTuple):
    """What was computed on, summed over batches.

    Attributes:
        positions: rows times the length that a batch is padded to.
        squares: rows times its square.
        labels: positions whose logits are computed.
        image_tokens: features that the projector gives; where it gives every place of a picture,
            pictures.
        seeing: positions of rows with image tokens.
        looks: positions times the image tokens of their row.
    """

    positions: int = 0
    squares: int = 0
    labels: int = 0
    image_tokens: int = 0
    seeing: int = 0
    looks: int = 0

    def plus(self, other: "Work", times: int = 1) -> "Work":
        """This, and the other so many times."""
        return Work(*(mine + times * theirs for mine, theirs in zip(self, other, strict=True)))


class Batched(NamedTuple):
    """The work of a training, by whether a gradient flows into the language role's inputs.

    Attributes:
        learned: batches that show a picture while the projector is trained, or the tower adapted.
        other: all others.
        unlabelled: forward alone: what validation reads.
    """

    learned: Work
    other: Work
    unlabelled: Work


def batch_work(lengths: Sequence[int], labels: int, image_tokens: Sequence[int]) -> Work:
    """The work of one batch, padded to its longest row.

    Args:
        lengths: of each row.
        labels: of all of them.
        image_tokens: of each row.
    """
    longest, rows, shown = max(lengths), len(lengths), sum(image_tokens)
    seeing = sum(own > 0 for own in image_tokens)
    return Work(
        positions=rows * longest,
        squares=rows * longest**2,
        labels=labels,
        image_tokens=shown,
        seeing=seeing * longest,
        looks=shown * longest,
    )


def training_flops(
    base: Outline,
    method: Method | None,
    projector: Projector,
    work: Batched,
    *,
    adapted_tower: bool = False,
) -> dict[str, int]:
    """The operations of a training by `TERMS`.

    Args:
        base: its outline.
        method: what is trained of the language role; None for the base alone.
        projector: what is trained of the projector.
        work: what was computed on.
        adapted_tower: gradients flow through the projector into the tower.
    """
    totals = dict.fromkeys(TERMS, Fraction(0))
    trained = projector is not None and projector != "frozen"
    runs = (
        (work.learned, True, trained or adapted_tower),
        (work.other, True, False),
        (work.unlabelled, False, False),
    )
    for own, backward, reached in runs:
        if own.positions:
            _language(totals, base, method, own, backward=backward, reached=reached)
            learns = projector if reached else "frozen"
            through = adapted_tower and reached
            _projector(totals, base, method, own, learns, projector == "lora", through=through)
    return {term: round(total) for term, total in totals.items()}


def _language(
    totals: dict[str, Fraction],
    base: Outline,
    method: Method | None,
    work: Work,
    *,
    backward: bool,
    reached: bool,
) -> None:
    """Blocks, attention, head and what is adapted of them.

    A gradient is computed of what a layer reads only where something before it is trained; what
    pictures give is read only behind the projector.
    """
    projected, places = reached, work.image_tokens * base.places
    reached = reached or (method is not None and method.front > 0)
    for matrix in base.around:
        totals["language"] += work.positions * matrix.products * (FORWARD + INPUT * backward)
    for block in base.blocks:
        positions = work.seeing if block.beside else work.positions
        for number, stage in enumerate(block.stages):
            trained = False
            for matrix in stage:
                behind = projected if matrix.beside else reached
                reads = places if matrix.beside else positions
                passes = FORWARD + INPUT * (backward and behind)
                totals["language"] += reads * matrix.products * passes
                if elements := delta_elements(method, matrix):
                    totals["adapter"] += reads * adapter_operations(elements, backward, behind)
                    trained = True
            reached = reached or trained
            if number == 0:
                passes = 2 * (FORWARD + 2 * INPUT * (backward and reached))
                pairs = work.looks * base.places if block.beside else work.squares
                totals["attention"] += block.attention * pairs * passes
    logits = base.vocabulary * base.hidden
    totals["head"] += work.labels * logits * (FORWARD + INPUT * backward)


def adapter_operations(elements: Sequence[int], backward: bool, reached: bool) -> int:
    """For one activation: only the first matrix of a delta reads what the layer reads."""
    first, rest = elements[0], sum(elements[1:])
    if not backward:
        return FORWARD * (first + rest)
    return first * (FORWARD + WEIGHT + INPUT * reached) + rest * (FORWARD + WEIGHT + INPUT)


def _projector(
    totals: dict[str, Fraction],
    base: Outline,
    method: Method | None,
    work: Work,
    trained: Projector,
    adapted: bool,
    *,
    through: bool,
) -> None:
    """The projector, of which nothing before its first matrix is trained unless it has a norm, or
    gradients flow through it."""
    before = through or (base.normed and trained == "full")
    given = work.image_tokens * (base.places or 1)
    for matrix in base.projector:
        is_layer = adapted and matrix.module in base.projector_layers
        elements = _parts(method, matrix) if method and is_layer else []
        passes = FORWARD + INPUT * before
        if trained == "full":
            passes += WEIGHT
        totals["projector"] += given * matrix.products * passes
        if elements:
            learns = trained == "lora"
            totals["adapter"] += given * adapter_operations(elements, learns, before)
        before = before or trained != "frozen"


def delta_elements(method: Method | None, matrix: Matrix) -> list[int]:
    """Elements of the matrices that a method adds to a layer; a vector costs no product."""
    if method is None or not re.fullmatch(method.target_expression, matrix.module):
        return []
    return _parts(method, matrix)


def _parts(method: Method, matrix: Matrix) -> list[int]:
    shapes = method.shapes(matrix.module, (matrix.outputs, matrix.inputs)).values()
    return [shape[0] * shape[1] for shape in shapes if len(shape) == 2] or [0]
