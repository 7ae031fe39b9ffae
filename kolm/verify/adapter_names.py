"""The grammar of tensor names in `adapter_model.safetensors`, as PEFT writes them.

``base_model.model.<module>.lora_A.weight`` (and lora_B, lora_magnitude_vector) is a delta of a
module; ``base_model.model.<module>.<parameter>`` is a whole parameter saved through
`modules_to_save`. Anything else is unknown. The module must be one that `modules.jsonl` lists.
Source: peft 0.21, ``utils/save_and_load.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

PREFIX = "base_model.model."
DELTA_PARTS = ("lora_A.weight", "lora_B.weight", "lora_magnitude_vector")


class DeltaTensor(NamedTuple):
    """One factor of a low-rank delta."""

    tensor: str
    module: str
    part: str


class WholeTensor(NamedTuple):
    """A whole parameter that takes the place of the base's."""

    tensor: str
    module: str
    parameter: str


class UnknownTensor(NamedTuple):
    """A name outside the grammar, or in a module that is not listed."""

    tensor: str


TensorName = DeltaTensor | WholeTensor | UnknownTensor


def read_name(tensor: str, modules: Mapping[str, Mapping[str, Any]]) -> TensorName:
    """What a tensor's name says, given the listed modules by name."""
    if not tensor.startswith(PREFIX):
        return UnknownTensor(tensor=tensor)
    rest = tensor.removeprefix(PREFIX)
    for part in DELTA_PARTS:
        module = rest.removesuffix(f".{part}")
        if module != rest and module in modules:
            return DeltaTensor(tensor=tensor, module=module, part=part)
    module, _, parameter = rest.rpartition(".")
    row = modules.get(module)
    if row is not None and any(owned["name"] == parameter for owned in row["parameters"]):
        return WholeTensor(tensor=tensor, module=module, parameter=parameter)
    return UnknownTensor(tensor=tensor)
