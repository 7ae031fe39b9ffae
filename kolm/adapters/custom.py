"""Adapters: layers of kolm's own that PEFT puts in and keeps.

PEFT has a door for such layers, ``LoraConfig._register_custom_module``. It finds their tensors by
the prefix ``lora_``, saves and restores them, switches them off, and trains the projector whole
beside them. Source: peft 0.21, ``docs/developer_guides/custom_models``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from peft import LoraConfig, PeftConfig
from peft.tuners.lora import LoraLayer

from kolm.roles import EMBEDDINGS


class CustomLayer(torch.nn.Module, LoraLayer):  # type: ignore[misc]  # PEFT comes without types
    """A layer of the base with something of a method's own beside it.

    Attributes:
        SETTINGS: keys of an ``adapter_config.json`` that PEFT does not know, which its class for an
            adapter has as attributes.
        PLACE: the kind of the base's layer.
    """

    SETTINGS: ClassVar[tuple[str, ...]]
    PLACE: ClassVar[type[torch.nn.Module]] = torch.nn.Linear
    other_param_names = ()
    out_features: int  # these four are PEFT's
    disable_adapters: bool
    active_adapters: list[str]
    set_adapter: Any

    def __init__(self, base_layer: torch.nn.Module, adapter_name: str, **_: Any) -> None:
        torch.nn.Module.__init__(self)
        LoraLayer.__init__(self, base_layer)
        self._active_adapter = adapter_name
        self.add(adapter_name)
        self.set_adapter([adapter_name])

    @abstractmethod
    def add(self, adapter_name: str) -> None:
        """Make the parameters of an adapter, at their first values."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """What the layer gives: (…, out)."""
        layer: Any = self.base_layer
        given: torch.Tensor = layer(hidden)
        return given


def make_config(layer: type[CustomLayer], keys: Mapping[str, Any]) -> PeftConfig:
    """PEFT's config for the keys of an ``adapter_config.json``, with a layer of kolm's own.

    A config that names no targets is of a prompt: PEFT finds by itself what embeds tokens.
    """
    own = (*layer.SETTINGS, "peft_type", "target_modules")
    targets = keys.get("target_modules") or rf"(?:.*\.)?{EMBEDDINGS}"
    others = {key: value for key, value in keys.items() if key not in own}
    config = LoraConfig(**others, target_modules=targets)
    kind = type(layer.__name__, (layer,), {key: keys[key] for key in layer.SETTINGS})
    config._register_custom_module({layer.PLACE: kind})
    return config
