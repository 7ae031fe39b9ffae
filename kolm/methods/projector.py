"""What is trained of the projector: all of it, deltas on its linear layers, or nothing. Torch-free.

No family's table lists the projector's linear layers: they follow from names and shapes of its
parameters, which a verifier knows too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from kolm.roles import Family

Projector = Literal["frozen", "full", "lora"]


def in_projector(module: str, family: Family) -> bool:
    """Whether a module is, or lies below, one that the family calls its projector."""
    return any(module == top or module.startswith(f"{top}.") for top in family.projector_modules)


def is_linear(shapes: Mapping[str, Sequence[int]]) -> bool:
    """Whether a module with these parameters is a linear layer: a matrix, and a bias or none."""
    weight, bias = shapes.get("weight", ()), shapes.get("bias", (0,))
    return len(weight) == 2 and len(bias) == 1 and shapes.keys() <= {"weight", "bias"}


def with_layers(expression: str, layers: Iterable[str]) -> str:
    """A regular expression that full-matches these layers as well."""
    names = "|".join(re.escape(layer) for layer in sorted(layers))
    return f"(?:{expression}|{names})" if names else expression
