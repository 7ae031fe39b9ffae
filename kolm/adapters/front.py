"""Adapters: virtual tokens that stand in front of each row, of `kolm.methods.prompt` and
`kolm.methods.p_tuning`.

They have ids of their own, behind the base's vocabulary. What embeds tokens gives them their
vectors, wherever in a row they stand, and PEFT holds, saves and switches them off there, as
`kolm.adapters.custom` says. `kolm.models.forward` puts the ids into rows: all that the library
makes of a row, positions of one axis or three and masks of any kind, follows as for text.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import Any

import torch
from peft import PromptEncoder, PromptEncoderConfig

from kolm import roles
from kolm.adapters.custom import CustomLayer
from kolm.methods.p_tuning import LSTM_LAYERS, NETWORK
from kolm.methods.prompt import TENSOR, demand_rows

_PROMPT = f"lora_{TENSOR}"  # inside PEFT's model


class Front(CustomLayer):
    """What embeds tokens, and virtual ones besides.

    Attributes:
        num_virtual_tokens: how many.
    """

    PLACE = torch.nn.Embedding
    num_virtual_tokens: int
    weight: torch.Tensor  # the base's, by PEFT

    @property
    def virtual_ids(self) -> range:
        """The ids that a row begins with: none where the adapter is off."""
        first = len(self.weight)
        return range(first, first if self.disable_adapters else first + self.num_virtual_tokens)

    @abstractmethod
    def vectors(self, adapter_name: str) -> torch.Tensor:
        """What stands for the virtual tokens: (virtual tokens, width)."""

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """The vectors of tokens: (…, width)."""
        own = ids >= len(self.weight)
        given = super().forward(ids.masked_fill(own, 0))
        if not bool(own.any()):
            return given
        (name,) = self.active_adapters
        numbers = ids[own] - len(self.weight)
        vectors = torch.nn.functional.embedding(numbers, self.vectors(name))
        return given.index_put((own,), vectors.to(given.dtype))


class Prompt(Front):
    """Virtual tokens that are learned as they are."""

    SETTINGS = ("num_virtual_tokens",)
    adapter_layer_names = (_PROMPT,)

    def add(self, adapter_name: str) -> None:
        """They begin as tokens of the base, drawn from its whole vocabulary."""
        drawn = torch.randint(len(self.weight), (self.num_virtual_tokens,))
        with torch.no_grad():
            start = CustomLayer.forward(self, drawn.to(self.weight.device)).float()
        made = {adapter_name: torch.nn.Parameter(start)}
        setattr(self, _PROMPT, torch.nn.ParameterDict(made))

    def vectors(self, adapter_name: str) -> torch.Tensor:
        """The parameter."""
        found: torch.Tensor = getattr(self, _PROMPT)[adapter_name]
        return found


class PTuning(Front):
    """Virtual tokens that a network makes.

    Attributes:
        encoder_hidden_size: its width.
        encoder_reparameterization_type: ``LSTM`` or ``MLP``.
    """

    SETTINGS = (
        "encoder_hidden_size",
        "encoder_reparameterization_type",
        "num_virtual_tokens",
    )
    adapter_layer_names = (NETWORK,)
    encoder_hidden_size: int
    encoder_reparameterization_type: str

    def add(self, adapter_name: str) -> None:
        """The network, drawn as torch draws such layers."""
        settings = PromptEncoderConfig(
            **{name: getattr(self, name) for name in self.SETTINGS},
            encoder_num_layers=LSTM_LAYERS,
            num_transformer_submodules=1,
            token_dim=self.out_features,
        )
        made = {adapter_name: PromptEncoder(settings)}
        setattr(self, NETWORK, torch.nn.ModuleDict(made).to(self.weight.device))

    def vectors(self, adapter_name: str) -> torch.Tensor:
        """What the network gives for all of them together."""
        encoder = getattr(self, NETWORK)[adapter_name]
        numbers = torch.arange(self.num_virtual_tokens, device=self.weight.device)
        found: torch.Tensor = encoder(numbers[None])[0]
        return found


def demand_one_table(model: torch.nn.Module) -> None:
    """Have a model with virtual tokens read ids nowhere but in the table that has them.

    Raises:
        Refused: ``E_ADAPTER_TARGETS``, a base whose blocks look tokens up in tables of their own.
    """
    if any(isinstance(module, Front) for module in model.modules()):
        settings: Any = model.config
        demand_rows(roles.family(settings.model_type), settings.to_dict())


def saved_name(name: str) -> str:
    """The name under which a tensor is saved that PEFT would save by this one.

    PEFT takes an adapter's name out of a tensor's only where it is the last part or the one before.
    """
    if name.endswith(f".{_PROMPT}"):
        return TENSOR
    return re.sub(rf"(\.{NETWORK})\.[^.]+\.", r"\1.", name)
