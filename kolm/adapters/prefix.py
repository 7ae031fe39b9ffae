"""Adapters: the keys and values of `kolm.methods.prefix`, put in through PEFT's and the library's
doors.

PEFT holds, saves and switches off what `v_proj` carries, as `kolm.adapters.custom` says. The
library asks the config of an attention module which function attends; here each module that carries
a prefix has a config of its own that names this one. Masks are made from the model's config, which
stays as it was. Source: transformers 5.23, ``modeling_utils.AttentionInterface``.
"""

from __future__ import annotations

import copy
import inspect
import sys
from typing import Any

import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, AttentionInterface

from kolm.adapters.custom import CustomLayer
from kolm.errors import Refused
from kolm.methods.prefix import KEYS, TARGET, VALUES

_ATTENTION = "kolm_prefix"


class Prefix(CustomLayer):
    """A layer that makes values, which it gives unchanged, and what is attended to beside them.

    Attributes:
        prefix_virtual_tokens: keys and values.
        attention: the library's function, which attends to the text.
    """

    SETTINGS = ("prefix_virtual_tokens",)
    adapter_layer_names = (KEYS, VALUES)
    prefix_virtual_tokens: int
    attention: Any = None

    def add(self, adapter_name: str) -> None:
        """Keys that are drawn, and values that are zero."""
        shape = (self.prefix_virtual_tokens, self.out_features)
        for part, start in ((KEYS, torch.randn(shape)), (VALUES, torch.zeros(shape))):
            setattr(self, part, torch.nn.ParameterDict({adapter_name: torch.nn.Parameter(start)}))

    def attended(self, query: torch.Tensor, scaling: float) -> torch.Tensor:
        """What queries get from the prefix.

        Args:
            query: after rotary embedding, (batch, heads, queries, head size).
            scaling: of the attention.

        Returns:
            (batch, queries, heads, head size), in the precision of the parameters.
        """
        (name,) = self.active_adapters
        batch, heads, queries, size = query.shape
        shape = (self.prefix_virtual_tokens, -1, size)
        keys, values = (getattr(self, part)[name].view(shape) for part in (KEYS, VALUES))
        # Heads that share keys and values are neighbours, as in the library's repeat_kv.
        asked = query.to(keys.dtype).reshape(batch, keys.shape[1], -1, queries, size)
        shares = torch.einsum("bngqd,pnd->bngqp", asked * scaling, keys).softmax(dim=-1)
        got = torch.einsum("bngqp,pnd->bqngd", shares, values)
        return got.reshape(batch, queries, heads, size)


def attend(
    module: torch.nn.Module, query: torch.Tensor, *rest: Any, scaling: float, **options: Any
) -> tuple[torch.Tensor, Any]:
    """Attention of a module that carries a prefix, in the form of the library's functions."""
    prefix = getattr(module, TARGET)
    given, weights = prefix.attention(module, query, *rest, scaling=scaling, **options)
    if not prefix.disable_adapters:
        given = given + prefix.attended(query, scaling).to(given.dtype)
    return given, weights


AttentionInterface.register(_ATTENTION, attend)


def show(model: torch.nn.Module) -> None:
    """Have the attention of a model attend to the prefixes that its layers carry.

    Raises:
        Refused: ``E_ADAPTER_TARGETS``, one whose attention is not computed by a function that the
            library lets others choose.
    """
    for name, layer in list(model.named_modules()):
        if isinstance(layer, Prefix):
            module: Any = model.get_submodule(name.rpartition(".")[0])
            asks = inspect.unwrap(type(module).forward).__code__.co_names
            if "get_interface" not in asks:
                raise Refused(
                    "E_ADAPTER_TARGETS",
                    "the attention of this base cannot be given a prefix",
                    where=name,
                    found=type(module).__name__,
                    hint="choose another method",
                )
            library: Any = sys.modules[type(module).__module__]
            layer.attention = ALL_ATTENTION_FUNCTIONS.get_interface(
                module.config._attn_implementation, library.eager_attention_forward
            )
            module.config = copy.copy(module.config)
            module.config._attn_implementation = _ATTENTION
