"""Planning: how many numbers a training changes, by names and shapes of the base's parameters."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from kolm.methods import Method, has_experts
from kolm.methods.projector import Projector, in_projector
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
    total = 0
    for name, shape in parameters:
        module, _, leaf = name.rpartition(".")
        matrix = leaf == "weight" and len(shape) == 2
        own = in_projector(module, family) and name not in family.bare
        if own and projector == "full":
            total += math.prod(shape)
        elif matrix and (
            (own and projector == "lora")
            or re.fullmatch(method.target_expression, module) is not None
        ):
            total += sum(map(math.prod, method.shapes(module, shape).values()))
        elif has_experts(method, module):
            total += sum(map(math.prod, method.expert_shapes({leaf: shape}).values()))
    return total
