"""Adapters: any method of `kolm.methods` on the language role, with the projector or without.

Targets are one full-match regular expression made from the family's role table. Lists of suffixes
also hit the vision tower in most families. A projector is trained whole by `modules_to_save`:
with ``requires_grad`` alone PEFT would neither save it nor restore it when the adapter is off.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kolm.adapters.config import make_config, put_on, saved_tensors
from kolm.digest import Digest, raw_of
from kolm.errors import Refused
from kolm.methods import (
    DeltaTensor,
    Method,
    UnknownTensor,
    has_experts,
    read_name,
    resolved_again,
)
from kolm.methods.projector import (
    Projector,
    in_projector,
    linear_layers,
    no_layers,
    with_layers,
)
from kolm.methods.reached import demand_reached
from kolm.roles import Family

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterTensor:
    """One trainable tensor.

    Attributes:
        name: as PEFT saves it, and so as it stands in ``adapter_model.safetensors``.
        module: in-memory name of the base's module that it belongs to.
        whole: it replaces a weight of the base (the projector); otherwise it is a delta.
        projector: the module is the projector's.
        parameter: the live tensor.
    """

    name: str
    module: str
    whole: bool
    projector: bool
    parameter: torch.nn.Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A base with an adapter on it.

    Attributes:
        model: the PEFT model.
        base: the base model inside it, with the adapter's layers in place.
        tensors: sorted by name.
        dropouts: the adapter's own; every module of the base stays in evaluation mode.
    """

    model: PeftModel
    base: PreTrainedModel
    tensors: tuple[AdapterTensor, ...]
    dropouts: tuple[torch.nn.Dropout, ...]

    def set_dropout(self, *, on: bool) -> None:
        """Switch the adapter's dropout alone."""
        for dropout in self.dropouts:
            dropout.train(on)


def attach(
    model: PreTrainedModel,
    family: Family,
    method: Method,
    *,
    projector: Projector,
    adapt_vision: bool,
    seed: Digest,
) -> Attached:
    """Put an adapter on a base.

    Args:
        model: frozen base; it is changed in place.
        family: its role table.
        method: of the lock.
        projector: what of the family's projector modules is trained.
        adapt_vision: also adapt the linear layers of the vision tower.
        seed: the lock's ``initialisation`` seed; drawn from before any layer is made.

    Raises:
        Refused: the lock's method is not the one that the roles give, or it does not hit exactly
            the modules that it should.
    """
    again = resolved_again(method, family, vision=adapt_vision, projector=projector)
    _demand_the_familys(method, again)
    layers = projector_layers(model, family) if projector == "lora" else []
    expression = with_layers(method.target_expression, layers)
    expected = expected_targets(model, expression, embeds=method.front > 0)
    demand_reached(family, model.config.to_dict(), expected)
    experts = expert_parameters(model, method)
    saved = projector_modules(model, family) if projector == "full" else []
    parameters = _parameters_of(model)
    own = {id(module) for module in model.modules()}
    keys = {"target_modules": expression, "modules_to_save": saved or None}
    if experts:
        keys["target_parameters"] = experts
    config = make_config({**keys, **method.peft()})
    seed_torch(seed)
    wrapped = put_on(model, config)
    wrapped.eval()  # the tower stays in evaluation mode; dropout is switched on by the loop
    tensors = trainable_tensors(wrapped, method, family, parameters)
    hold_in_float32(wrapped, tensors)
    found = sorted({tensor.module for tensor in tensors if not tensor.whole})
    expected = sorted({*expected, *(name.rpartition(".")[0] for name in experts)})
    if found != expected:
        odd = sorted(set(found) ^ set(expected))
        raise Refused(
            "E_ADAPTER_TARGETS",
            "the adapted modules are not exactly those that roles and targets select",
            where="train.method",
            found=", ".join(odd[:5]),
        )
    if any(tensor.whole and not (saved and tensor.projector) for tensor in tensors):
        raise Refused("E_ADAPTER_TARGETS", "a module outside the projector is trained in full")
    return Attached(
        model=wrapped,
        base=wrapped.get_base_model(),
        tensors=tensors,
        dropouts=_dropouts(wrapped, own),
    )


def _demand_the_familys(method: Method, again: Method) -> None:
    if method != again:
        raise Refused(
            "E_ADAPTER_TARGETS",
            "the lock's method differs from the one derived from the family's role table",
            where="train.method",
            expected=again.target_expression,
            found=method.target_expression[:200],
        )


def projector_modules(model: PreTrainedModel, family: Family) -> list[str]:
    """The modules of a model that are trained whole; PEFT takes none that is a list of others."""
    import torch

    names: list[str] = []
    for top in family.projector_modules:
        module = model.get_submodule(top)
        if isinstance(module, torch.nn.ModuleList):
            names += [f"{top}.{number}" for number in range(len(module))]
        else:
            names.append(top)
    return names


def expected_targets(model: PreTrainedModel, expression: str, *, embeds: bool = False) -> list[str]:
    """The modules that the expression full-matches, sorted.

    Args:
        model: a base.
        expression: of the lock.
        embeds: it is to match what embeds tokens, else linear layers.

    Raises:
        Refused: it matches nothing, or something of another kind.
    """
    import torch

    names = []
    for name, module in model.named_modules():
        if re.fullmatch(expression, name):
            if embeds and module is not model.get_input_embeddings():
                raise Refused("E_ADAPTER_TARGETS", "the target does not embed tokens", where=name)
            if not embeds and not isinstance(module, torch.nn.Linear):
                raise Refused("E_ADAPTER_TARGETS", "a target is not a linear layer", where=name)
            names.append(name)
    if not names:
        raise Refused("E_ADAPTER_TARGETS", "no module of the base is a target", found=expression)
    return sorted(names)


def expert_parameters(model: PreTrainedModel, method: Method) -> list[str]:
    """The parameters of experts that get deltas, sorted.

    Raises:
        Refused: modules of experts that do not hold exactly the method's, or none of them.
    """
    if method.expert_expression is None:
        return []
    names: list[str] = []
    for module, own in model.named_modules():
        if has_experts(method, module):
            held = {name: parameter.ndim for name, parameter in own.named_parameters()}
            wanted = method.experts or ()
            if held != dict.fromkeys(wanted, 3) or tuple(held) != wanted:
                raise Refused(
                    "E_ADAPTER_TARGETS",
                    "the experts of a layer are not the parameters of three axes of the table",
                    where=module,
                    expected=", ".join(wanted),
                    found=", ".join(held),
                )
            names += [f"{module}.{name}" for name in held]
    if not names:
        raise Refused(
            "E_ADAPTER_TARGETS",
            "no module of the base holds experts",
            found=method.expert_expression,
        )
    return sorted(names)


def projector_layers(model: PreTrainedModel, family: Family) -> list[str]:
    """The linear layers of the projector, sorted.

    Raises:
        Refused: it has none, or one that names and shapes alone do not tell from others.
    """
    import torch

    told = linear_layers(((n, tensor.shape) for n, tensor in model.named_parameters()), family)
    linear = {n for n, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    found = sorted(name for name in linear if in_projector(name, family))
    if not found or told != found:
        raise no_layers(", ".join(sorted(set(told) ^ set(found))[:3]) or "no linear layer")
    return found


def seed_torch(seed: Digest) -> None:
    """Seed torch with the first 8 bytes of a digest, big-endian."""
    import torch

    torch.manual_seed(int.from_bytes(raw_of(seed)[:8], "big"))


def trainable_tensors(
    wrapped: PeftModel,
    method: Method,
    family: Family,
    parameters: Mapping[str, frozenset[str]],
) -> tuple[AdapterTensor, ...]:
    """Every parameter that requires a gradient, under the name that PEFT saves it by.

    Args:
        wrapped: PEFT's model.
        method: whose grammar the names follow.
        family: the role table.
        parameters: for each module of the bare base the names of its parameters.

    Raises:
        Refused: a parameter requires a gradient that belongs to no adapter.
    """
    names = {tensor.data_ptr(): name for name, tensor in saved_tensors(wrapped).items()}
    tensors = []
    for live, parameter in wrapped.named_parameters():
        if parameter.requires_grad:
            name = names.get(parameter.data_ptr(), "")
            meant = read_name(name, method, parameters)
            if isinstance(meant, UnknownTensor):
                raise Refused(
                    "E_ADAPTER_TARGETS",
                    "a parameter outside the adapter requires a gradient",
                    where=live,
                )
            tensors.append(
                AdapterTensor(
                    name=name,
                    module=meant.module,
                    whole=not isinstance(meant, DeltaTensor),
                    projector=in_projector(meant.module, family),
                    parameter=parameter,
                )
            )
    return tuple(sorted(tensors, key=lambda tensor: tensor.name))


def hold_in_float32(wrapped: PeftModel, tensors: Sequence[AdapterTensor]) -> None:
    """Make the trained tensors float32, whatever the base's precision, and compute with them.

    In bfloat16 an update below 1/256 of a weight rounds away, so that a projector with a usual
    learning rate would never move (the master weights of arXiv:1710.03740, section 3.1). PEFT
    widens its own factors and what they are multiplied with, but neither for what it trains
    through `modules_to_save`: such a module gets float32, and its answer the base's precision.
    """
    for tensor in tensors:
        tensor.parameter.data = tensor.parameter.data.float()
    precision = wrapped.get_base_model().dtype
    for name, module in wrapped.named_modules():
        if name.rpartition(".")[0].endswith(".modules_to_save"):
            compute_in_float32(module, precision)


def compute_in_float32(module: torch.nn.Module, precision: torch.dtype) -> None:
    """Hand a module what it is called with in float32, and hand on its answer in `precision`."""
    import torch

    def widened(_: object, given: object, named: object) -> tuple[object, dict[str, Any]]:
        return _as(torch.float32, given), _as(torch.float32, named)

    def narrowed(_: object, given: object, answer: object) -> object:
        return _as(precision, answer)

    if precision != torch.float32:
        module.register_forward_pre_hook(widened, with_kwargs=True)
        module.register_forward_hook(narrowed)


def _as(precision: torch.dtype, value: object) -> Any:
    """A value with the numbers of the tensors in it, however deep, in a precision."""
    import torch
    from torch.utils._pytree import tree_map

    def one(part: object) -> object:
        if isinstance(part, torch.Tensor) and part.is_floating_point():
            return part.to(precision)
        return part

    return tree_map(one, value)


def _parameters_of(model: torch.nn.Module) -> dict[str, frozenset[str]]:
    return {
        name: frozenset(own for own, _ in module.named_parameters(recurse=False))
        for name, module in model.named_modules()
    }


def _dropouts(wrapped: PeftModel, own: set[int]) -> tuple[torch.nn.Dropout, ...]:
    """Dropout that came with the adapter; copies of the base's own modules are none of it."""
    import torch

    return tuple(
        module
        for name, module in wrapped.named_modules()
        if isinstance(module, torch.nn.Dropout)
        and id(module) not in own
        and ".modules_to_save." not in name
    )
