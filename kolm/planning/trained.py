"""Planning: what a training changes, by names and shapes of the base's parameters."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from kolm.format.outline import Outline
from kolm.methods import Method, has_experts
from kolm.methods.lora import Lora
from kolm.methods.projector import Projector, in_projector
from kolm.planning.memory import BYTES
from kolm.planning.parameters import Owned
from kolm.roles import Family


def trained_numbers(
    parameters: Iterable[tuple[str, Sequence[int]]],
    family: Family,
    method: Method,
    projector: Projector,
) -> int:
    """How many numbers change.

    Args:
        parameters: name in memory and shape of each.
        family: the base's role table.
        method: of the lock.
        projector: what is trained of it.
    """
    return sum(own.trained for own in modules_of(parameters, family, method, projector))


def branch_bytes(base: Outline, method: Method, precision: str, *, of_places: bool = False) -> int:
    """Bytes that a position keeps of what an adapter computes beside the base's blocks; or a place
    of a picture, where the text attends to places.

    Of each low-rank delta what its first matrix gives; with dropout what falls out and what is
    left, which in float32 stands in for what a stage's layers else read together. All in float32.
    Measured: `torch.autograd.graph.saved_tensors_hooks` around a step of `bench.plan_peaks`.
    """
    drops = isinstance(method, Lora) and method.dropout != "0"
    numbers = 0
    for stage in (stage for block in base.blocks for stage in block.stages):
        here = [m for m in stage if m.beside == of_places]
        own = [m for m in here if re.fullmatch(method.target_expression, m.module)]
        for matrix in own:
            shapes = [*method.shapes(matrix.module, (matrix.outputs, matrix.inputs)).values()]
            numbers += shapes[0][0] if len(shapes[0]) == 2 else 0
        if drops and own:
            read = sum(matrix.inputs for matrix in own)
            numbers += 2 * read - own[0].inputs if precision == "float32" else read
    return BYTES["float32"] * numbers


def modules_of(
    parameters: Iterable[tuple[str, Sequence[int]]],
    family: Family,
    method: Method,
    projector: Projector,
) -> list[Owned]:
    """Each module of a base that owns parameters, with what is trained of it.

    The arguments are those of `trained_numbers`.
    """
    found: dict[str, Owned] = {}
    for name, shape in parameters:
        module, _, leaf = name.rpartition(".")
        matrix = leaf == "weight" and len(shape) == 2
        own = in_projector(module, family) and name not in family.bare
        numbers, whole = 0, own and projector == "full"
        if whole:
            numbers = math.prod(shape)
        elif matrix and (
            (own and projector == "lora")
            or re.fullmatch(method.target_expression, module) is not None
        ):
            numbers = sum(map(math.prod, method.shapes(module, shape).values()))
        elif has_experts(method, module):
            numbers = sum(map(math.prod, method.expert_shapes({leaf: shape}).values()))
        before = found.get(module) or Owned(module, family.role_of(name).value, 0, 0, whole)
        found[module] = before._replace(
            base=before.base + math.prod(shape), trained=before.trained + numbers
        )
    return list(found.values())
