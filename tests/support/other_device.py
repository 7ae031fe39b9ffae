"""A device that is not the host, on a machine that has none.

`OTHER` computes on the CPU, and refuses what a real accelerator refuses: an operation on a tensor
of its own and one of the host's, and reading its memory without copying it to the host first. A
model on it therefore works only if everything that enters the model was put there.

    with OtherDevice():
        model = put(model)
        model(torch.ones(2).to(OTHER))
"""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

OTHER = "meta"  # the one name of a device that torch lets be taken without code in C++
_KIND = torch.device(OTHER).type

_MOVES = {"aten::_to_copy", "aten::copy_"}  # between devices, by what they are
_INDEXED = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}


class Elsewhere(torch.Tensor):
    """A tensor of the other device; `host` holds its numbers."""

    host: torch.Tensor

    @staticmethod
    def __new__(cls, host: torch.Tensor) -> Elsewhere:
        made = torch.Tensor._make_wrapper_subclass(
            cls, host.size(), strides=host.stride(), dtype=host.dtype, device=OTHER,
            storage_offset=host.storage_offset(), requires_grad=False,
        )  # fmt: skip
        made.host = host
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})

    def data_ptr(self) -> int:
        """Where the numbers lie: equal for two tensors exactly when they share them."""
        return self.host.data_ptr()

    def tolist(self) -> Any:
        """The numbers, copied to the host as an accelerator does it."""
        return self.host.tolist()

    def item(self) -> Any:
        """The number, copied to the host as an accelerator does it."""
        return self.host.item()

    def numpy(self, *_: Any, **__: Any) -> Any:
        """As an accelerator's tensor, which the host cannot read."""
        raise TypeError(f"can't convert {OTHER} device type tensor to numpy")

    def __repr__(self, **_: Any) -> str:
        return f"Elsewhere({self.host!r})"


class OtherDevice(TorchDispatchMode):
    """While it holds, tensors can be put on the other device."""

    def __enter__(self) -> OtherDevice:
        self._outer = contextlib.ExitStack()
        self._outer.enter_context(_Functions())
        # In threads of its own autograd would compute without this mode.
        self._outer.enter_context(torch.autograd.set_multithreading_enabled(False))
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._outer.close()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


class _Functions(TorchFunctionMode):
    """What torch does in C++ for devices that it knows: choose a kernel of attention, and fill a
    tensor from a list."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        if func is torch.nn.functional.scaled_dot_product_attention:
            return _attention(*args, **named)
        asked = named.get("device")
        listed = not isinstance(args[0] if args else None, torch.Tensor)
        if func in (torch.tensor, torch.as_tensor) and asked is not None and listed:
            numbers = tree_map(lambda n: n.item() if isinstance(n, Elsewhere) else n, args)
            return func(*numbers, **{**named, "device": "cpu"}).to(asked)
        return func(*args, **named)


def _attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Any:  # fmt: skip
    found, _ = torch.ops.aten._scaled_dot_product_attention_math(
        query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
    )
    return found


def _compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Do an operation on the host, once it is one that a real device would do."""
    name = func.name()
    tensors = [t for t in tree_flatten((args, kwargs))[0] if isinstance(t, torch.Tensor)]
    elsewhere = [t for t in tensors if isinstance(t, Elsewhere)]
    asked = kwargs.get("device")
    there = bool(elsewhere) if asked is None else torch.device(asked).type == _KIND
    if not elsewhere and not there:
        return func(*args, **kwargs)
    kind = name.partition(".")[0]
    if kind in _INDEXED:  # the places may be the host's, as on other accelerators
        tensors = [args[0], *args[2:3]]
    mixed = elsewhere and any(not isinstance(t, Elsewhere) and t.dim() for t in tensors)
    if mixed and kind not in _MOVES:
        raise RuntimeError(f"{name}: tensors of the host and of the other device")
    if name in ("aten::item", "aten::_local_scalar_dense"):
        return args[0].host.item()
    plain = tree_map(lambda t: t.host if isinstance(t, Elsewhere) else t, ([*args], kwargs))
    if asked is not None:
        plain[1]["device"] = torch.device("cpu")
    if name.startswith("aten::copy_") or name.endswith("_") or ".out" in name:
        there = isinstance(args[0], Elsewhere)
    if kind == "aten::histc":  # of whole numbers, as on accelerators
        plain[0][0] = plain[0][0].float()
    found = func(*plain[0], **plain[1])
    return tree_map(lambda t: _wrapped(t, args, there), found)


def _wrapped(value: Any, args: Any, there: bool) -> Any:
    if not isinstance(value, torch.Tensor) or not there or isinstance(value, Elsewhere):
        return value
    for own in tree_flatten(args)[0]:  # an operation in place gives back what it was given
        if isinstance(own, Elsewhere) and own.host is value:
            return own
    return Elsewhere(value)


def put(model: torch.nn.Module) -> torch.nn.Module:
    """A model with every parameter and buffer on the other device."""
    for module in model.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None:
                moved = torch.nn.Parameter(Elsewhere(parameter.detach()), requires_grad=False)
                module._parameters[name] = moved
        for name, buffer in list(module._buffers.items()):
            if buffer is not None:
                module._buffers[name] = Elsewhere(buffer)
    return model
