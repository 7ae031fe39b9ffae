"""Adapters: what every method hands to training: a wrapped model and its trainable tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PREFIX = "base_model.model."


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterTensor:
    """One trainable tensor.

    Attributes:
        name: as PEFT saves it, and so as it stands in ``adapter_model.safetensors``.
        module: in-memory name of the base's module that it belongs to.
        whole: it replaces a weight of the base (the projector); otherwise it is a delta.
        parameter: the live tensor.
    """

    name: str
    module: str
    whole: bool
    parameter: torch.nn.Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A base with an adapter on it.

    Attributes:
        model: the PEFT model.
        base: the base model inside it, with the adapter's layers in place.
        tensors: sorted by name.
    """

    model: Any
    base: Any
    tensors: tuple[AdapterTensor, ...]
