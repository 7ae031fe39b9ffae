"""What is trained of the projector: all of it, deltas on its linear layers, or nothing. Torch-free.

No family's table lists the projector's linear layers: they follow from names and shapes of its
parameters, which a verifier knows too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from kolm.errors import Refused
from kolm.roles import Family

Projector = Literal["frozen", "full", "lora"] | None  # None where the family has none


def in_projector(module: str, family: Family) -> bool:
    """Whether a module is, or lies below, one that the family calls its projector."""
    return any(module == top or module.startswith(f"{top}.") for top in family.projector_modules)


def is_linear(shapes: Mapping[str, Sequence[int]]) -> bool:
    """Whether a module with these parameters is a linear layer: a matrix, and a bias or none."""
    weight, bias = shapes.get("weight", ()), shapes.get("bias", (0,))
    return len(weight) == 2 and len(bias) == 1 and shapes.keys() <= {"weight", "bias"}


def linear_layers(parameters: Iterable[tuple[str, Sequence[int]]], family: Family) -> list[str]:
    """The linear layers of a base's projector, sorted.

    Args:
        parameters: name and shape of each parameter of the base.
        family: its role table.
    """
    modules: dict[str, dict[str, Sequence[int]]] = {}
    for name, shape in parameters:
        module, _, own = name.rpartition(".")
        if in_projector(module, family):
            modules.setdefault(module, {})[own] = shape
    return sorted(module for module, shapes in modules.items() if is_linear(shapes))


def no_layers(found: str) -> Refused:
    """The error of a projector on which there can be no LoRA."""
    return Refused(
        "E_ADAPTER_TARGETS",
        "LoRA on the projector needs linear layers, and nothing else of their form, in it",
        where="train.projector",
        found=found,
        hint="train it in full, or keep it frozen",
    )


def with_layers(expression: str, layers: Iterable[str]) -> str:
    """A regular expression that full-matches these layers as well."""
    names = "|".join(re.escape(layer) for layer in sorted(layers))
    return f"(?:{expression}|{names})" if names else expression
