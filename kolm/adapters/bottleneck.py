"""Adapters: the network of `kolm.methods.bottleneck`, as a layer that PEFT puts in."""

from __future__ import annotations

import torch

from kolm.adapters.custom import CustomLayer
from kolm.methods.bottleneck import DOWN, UP

_ACTIVATIONS = {"gelu": torch.nn.GELU, "relu": torch.nn.ReLU}


class Bottleneck(CustomLayer):
    """A linear layer and the network behind it; it begins as no change.

    Attributes:
        bottleneck_activation: between the two matrices.
        bottleneck_size: numbers between them.
    """

    SETTINGS = ("bottleneck_activation", "bottleneck_size")
    adapter_layer_names = (DOWN, UP)
    bottleneck_activation: str
    bottleneck_size: int

    def add(self, adapter_name: str) -> None:
        """The two matrices: the first is drawn, all else is zero."""
        down = torch.nn.Linear(self.out_features, self.bottleneck_size)
        up = torch.nn.Linear(self.bottleneck_size, self.out_features)
        for start in (down.bias, up.weight, up.bias):
            torch.nn.init.zeros_(start)
        setattr(self, DOWN, torch.nn.ModuleDict({adapter_name: down}))
        setattr(self, UP, torch.nn.ModuleDict({adapter_name: up}))
        self._between: torch.nn.Module = _ACTIVATIONS[self.bottleneck_activation]()

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """What the layer gives, and what the network makes of that: (…, out)."""
        given = super().forward(hidden)
        if self.disable_adapters:
            return given
        (name,) = self.active_adapters
        down, up = getattr(self, DOWN)[name], getattr(self, UP)[name]
        added: torch.Tensor = up(self._between(down(given.to(down.weight.dtype))))
        return given + added.to(given.dtype)
