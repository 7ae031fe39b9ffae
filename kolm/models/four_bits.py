"""Models: linear layers in 4 bits (QLoRA, arXiv:2305.14314), stored as bitsandbytes stores them.

bitsandbytes 0.50 reads a weight wrongly on the CPU where a row is no whole number of blocks (for 48
columns and blocks of 64 the relative error is 0.39 instead of 0.09), and packs weights into another
form in the middle of an evaluation. So the product is formed here: the weight is read block by
block, for each product anew, and never changes.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import bitsandbytes
import torch
from torch.nn import functional

from kolm.errors import Refused
from kolm.methods.quantisation import Quantisation, quantised_modules
from kolm.roles import Family

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_QUANTISED = (bitsandbytes.nn.Linear4bit, bitsandbytes.nn.Linear8bitLt)


class Linear4bit(bitsandbytes.nn.Linear4bit):  # type: ignore[misc]  # it comes without types
    """A linear layer whose weight is in 4 bits; PEFT adapts it as it does the library's own.

    Args:
        layer: that it takes the place of; its bias stays as it is.
        quantisation: of the lock.
    """

    def __init__(self, layer: torch.nn.Linear, quantisation: Quantisation) -> None:
        super().__init__(
            layer.in_features, layer.out_features, bias=False, device=torch.device("meta")
        )
        self.bias = layer.bias
        weight = layer.weight.detach()
        self.compute_dtype = weight.dtype
        self.weight = bitsandbytes.nn.Params4bit(
            weight,
            blocksize=quantisation.block_size,
            compress_statistics=quantisation.double,
            quant_type=quantisation.kind,
            module=self,
        ).to(weight.device)
        # Beside the weight: processes that share its bytes hand them on without it.
        self._state = self.weight.quant_state
        self._by_blocks = copy.copy(self._state)
        self._by_blocks.shape = _whole_blocks(weight, quantisation.block_size)

    def _apply(self, fn: Any, recurse: bool = True) -> Linear4bit:
        super()._apply(fn, recurse)
        for state in (self._state, self._by_blocks):
            state.to(self.weight.device)
        return self

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """The product with the weight that the 4 bits stand for."""
        out: torch.Tensor = _Product.apply(hidden, self)  # type: ignore[no-untyped-call]
        return out

    def dequantised(self) -> torch.Tensor:
        """The weight that the 4 bits stand for, (out, in), in the dtype that it was loaded in."""
        read = bitsandbytes.functional.dequantize_4bit(self.weight.data, self._by_blocks)
        weight: torch.Tensor = read.view(self.out_features, self.in_features)
        return weight

    def stored(self) -> list[torch.Tensor]:
        """Everything that the weight is stored in, in one order."""
        state = self._state
        nested = (state.offset, state.state2.absmax, state.state2.code) if state.nested else ()
        return [self.weight.data, state.absmax, state.code, *nested]

    @property
    def kind(self) -> Literal["fp4", "nf4"]:
        """The sixteen values that the weight is really stored in."""
        kind: Literal["fp4", "nf4"] = self._state.quant_type
        return kind

    @property
    def double(self) -> bool:
        """Whether the scales of its blocks are quantised again."""
        return bool(self._state.nested)

    @property
    def block_size(self) -> int:
        """How many of its elements share a scale."""
        return int(self._state.blocksize)


class _Product(torch.autograd.Function):
    """A product that reads the weight again for its gradient instead of keeping it."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, layer: Linear4bit) -> torch.Tensor:
        ctx.layer = layer
        return functional.linear(hidden, layer.dequantised(), layer.bias)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradients[0] @ ctx.layer.dequantised(), None


def _whole_blocks(weight: torch.Tensor, block_size: int) -> torch.Size:
    """A shape of the same elements in which a row is whole blocks, or all there is is one row."""
    count = weight.numel()
    if weight.shape[-1] % block_size == 0:
        return weight.shape
    return torch.Size((count // block_size, block_size) if count % block_size == 0 else (1, count))


def quantise(
    model: PreTrainedModel, family: Family, quantisation: Quantisation
) -> Iterator[tuple[str, Linear4bit]]:
    """Quantise the linear layers of a model's language blocks one after the other, in place.

    Raises:
        Refused: ``E_ADAPTER_TARGETS``, the family's table names something else among them.
    """
    expression = quantised_modules(family)
    names = [name for name, _ in model.named_modules() if re.fullmatch(expression, name)]
    for name in names:
        layer = model.get_submodule(name)
        if type(layer) is not torch.nn.Linear:
            raise Refused("E_ADAPTER_TARGETS", "a layer to quantise is not linear", where=name)
        made = Linear4bit(layer, quantisation)
        made.train(layer.training)
        model.set_submodule(name, made)
        del layer
        yield name, made
    found = [name for name, module in model.named_modules() if isinstance(module, _QUANTISED)]
    if found != names:
        raise Refused(
            "E_ADAPTER_TARGETS",
            "the quantised layers are not exactly the linear ones of the language blocks",
            found=", ".join(sorted(set(found) ^ set(names))[:5]),
        )
    model.is_loaded_in_4bit = True  # PEFT asks the model before it looks at a layer
