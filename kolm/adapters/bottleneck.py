"""Adapters: the network of `kolm.methods.bottleneck`, as a layer of one's own that PEFT puts in.

PEFT has a door for such layers, ``LoraConfig._register_custom_module``. It finds their tensors by
the prefix ``lora_``, saves and restores them, switches them off, and trains the projector whole
beside them. Source: peft 0.21, ``docs/developer_guides/custom_models``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from peft import LoraConfig, PeftConfig
from peft.tuners.lora import LoraLayer

from kolm.methods.bottleneck import DOWN, UP

_ACTIVATIONS = {"gelu": torch.nn.GELU, "relu": torch.nn.ReLU}


def make_config(keys: Mapping[str, Any]) -> PeftConfig:
    """PEFT's config for the keys of an ``adapter_config.json``."""
    own = ("bottleneck_activation", "bottleneck_size", "peft_type")
    config = LoraConfig(**{key: value for key, value in keys.items() if key not in own})
    kind = type("Bottleneck", (Bottleneck,), {key: keys[key] for key in own[:2]})
    config._register_custom_module({torch.nn.Linear: kind})
    return config


class Bottleneck(torch.nn.Module, LoraLayer):  # type: ignore[misc]  # PEFT comes without types
    """A linear layer and the network behind it; it begins as no change.

    Attributes:
        bottleneck_activation: between the two matrices.
        bottleneck_size: numbers between them.
    """

    adapter_layer_names = (DOWN, UP)
    other_param_names = ()
    bottleneck_activation: str
    bottleneck_size: int
    out_features: int  # these four are PEFT's
    disable_adapters: bool
    active_adapters: list[str]
    set_adapter: Any

    def __init__(self, base_layer: torch.nn.Module, adapter_name: str, **_: Any) -> None:
        torch.nn.Module.__init__(self)
        LoraLayer.__init__(self, base_layer)
        self._active_adapter = adapter_name
        down = torch.nn.Linear(self.out_features, self.bottleneck_size)
        up = torch.nn.Linear(self.bottleneck_size, self.out_features)
        for start in (down.bias, up.weight, up.bias):
            torch.nn.init.zeros_(start)
        setattr(self, DOWN, torch.nn.ModuleDict({adapter_name: down}))
        setattr(self, UP, torch.nn.ModuleDict({adapter_name: up}))
        self._between: torch.nn.Module = _ACTIVATIONS[self.bottleneck_activation]()
        self.set_adapter([adapter_name])

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """What the layer gives, and what the network makes of that: (…, out)."""
        layer: Any = self.base_layer
        given: torch.Tensor = layer(hidden)
        if self.disable_adapters:
            return given
        (name,) = self.active_adapters
        down, up = getattr(self, DOWN)[name], getattr(self, UP)[name]
        added: torch.Tensor = up(self._between(down(given.to(down.weight.dtype))))
        return given + added.to(given.dtype)
