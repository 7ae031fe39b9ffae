"""The rows of `modules.jsonl`: every module of the base, its role, its state and the evidence.

The shape is schemas/modules_row.schema.json and the rules are docs/format/modules.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kolm.digest import Digest


class State(StrEnum):
    """What training did to a module."""

    FROZEN = "frozen"
    ADAPTED = "adapted"  # the base weights stay, a delta is added
    TRAINED = "trained"  # the whole weights are replaced through modules_to_save


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleParameter:
    """One parameter of the base's own copy: digests before and after the run.

    Attributes:
        checkpoint: the keys of the base's checkpoint that it was loaded from.
        gradient_steps: in how many steps it had a gradient.
        alias_of: full name of the parameter whose storage it shares.
    """

    after: Digest
    before: Digest
    checkpoint: tuple[str, ...]
    dtype: str
    elements: int
    gradient_steps: int
    name: str
    requires_grad: bool
    shape: tuple[int, ...]
    alias_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleBuffer:
    """One buffer of the base."""

    after: Digest
    before: Digest
    dtype: str
    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterTensor:
    """One tensor of the adapter file that belongs to a module."""

    after: Digest
    before: Digest
    dtype: str
    elements: int
    gradient_steps: int
    shape: tuple[int, ...]
    tensor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleRow:
    """One module of the base under its in-memory name, without PEFT's wrapping.

    Attributes:
        weight_norm: the Frobenius norm of an adapted module's weight, None for the others.
    """

    adapter: tuple[AdapterTensor, ...]
    buffers: tuple[ModuleBuffer, ...]
    class_: str
    module: str
    parameters: tuple[ModuleParameter, ...]
    role: str
    state: State
    weight_norm: str | None
