"""Train: evidence of what changed: a digest of every tensor before and after, and how many steps
each trainable tensor saw a gradient.

A frozen tensor that changed, or a trained one that no gradient reached, ends the compile: a
receipt says what happened, not what a config asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kolm import digest
from kolm.bundle.tensors import tensor_digest
from kolm.counting import counted
from kolm.digest import Digest
from kolm.errors import Refused
from kolm.format.norms import stated_norm
from kolm.roles import Family, Role

if TYPE_CHECKING:
    import torch

    from kolm.adapters.attach import AdapterTensor
    from kolm.records.documents import (
        ModulesRow,
        ModulesRowBuffer,
        ModulesRowDtype,
        ModulesRowParameter,
        ModulesRowState,
    )

_DTYPES: dict[str, ModulesRowDtype] = {
    "torch.float32": "F32",
    "torch.float16": "F16",
    "torch.bfloat16": "BF16",
    "torch.float64": "F64",
    "torch.int64": "I64",
    "torch.int32": "I32",
    "torch.int8": "I8",
    "torch.uint8": "U8",
    "torch.bool": "BOOL",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTensor:
    """One parameter or buffer of the base, and its digest before training.

    Attributes:
        name: in its module.
        path: in the model.
    """

    name: str
    path: str
    tensor: torch.Tensor
    before: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseModule:
    """One module of the base that owns tensors, by its name before PEFT wraps anything."""

    name: str
    kind: str
    role: Role
    parameters: tuple[ModelTensor, ...]
    buffers: tuple[ModelTensor, ...]


def survey_base(model: torch.nn.Module, family: Family) -> tuple[BaseModule, ...]:
    """Every module of a base that owns a parameter or buffer, with digests, sorted by name.

    Called before the adapter is attached; the tensors stay the same objects afterwards.

    Raises:
        Refused: the tensors of a module have no role in the family's table, or several.
    """
    modules = []
    before = _digests([*model.parameters(), *model.buffers()])
    for name, module in model.named_modules():
        parameters = tuple(_own(name, module.named_parameters(recurse=False), before))
        buffers = tuple(_own(name, module.named_buffers(recurse=False), before))
        if not parameters and not buffers:
            continue
        role = family.role_of_module(name, [own.name for own in (*parameters, *buffers)])
        if role is Role.OTHER:
            raise Refused(
                "E_ROLES_NOT_TOTAL",
                "the tensors of a module do not all have one role in the family's table",
                where=name or "the model itself",
                hint="the base does not have the structure of its model_type",
            )
        modules.append(
            BaseModule(
                name=name,
                kind=type(module).__name__,
                role=role,
                parameters=parameters,
                buffers=buffers,
            )
        )
    return tuple(sorted(modules, key=lambda module: module.name))


def _own(
    module: str, named: Iterable[tuple[str, torch.Tensor]], before: Mapping[int, Digest]
) -> Iterable[ModelTensor]:
    for name, tensor in sorted(named, key=lambda item: item[0]):
        path = f"{module}.{name}" if module else name
        yield ModelTensor(name=name, path=path, tensor=tensor, before=before[id(tensor)])


def digests_now(modules: Sequence[BaseModule]) -> dict[str, Digest]:
    """The digest that every tensor of a base has now, by its path in the model."""
    owned = [own for module in modules for own in (*module.parameters, *module.buffers)]
    found = _digests([own.tensor for own in owned])
    return {own.path: found[id(own.tensor)] for own in owned}


def _digests(tensors: Sequence[torch.Tensor]) -> dict[int, Digest]:
    """The digest of each tensor by its `id`; one that modules share is hashed once."""
    distinct = {id(tensor): tensor for tensor in tensors}
    return dict(zip(distinct, digest.each(digest_tensor, distinct.values()), strict=True))


def dtype_name(tensor: torch.Tensor) -> ModulesRowDtype:
    """The safetensors name of a tensor's dtype."""
    return _DTYPES[str(tensor.dtype)]


def raw_bytes(tensor: torch.Tensor) -> memoryview:
    """A tensor's elements in row order, little-endian (which every supported machine is).

    They are the tensor's own memory where that holds them in this order: a matrix of a large base
    takes a gigabyte.
    """
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    view: memoryview = flat.view(torch.uint8).numpy().data
    return view


def digest_tensor(tensor: torch.Tensor) -> Digest:
    """The digest of a tensor in memory, over dtype, shape and bytes."""
    return tensor_digest(dtype_name(tensor), tuple(tensor.shape), raw_bytes(tensor))


def check_evidence(
    modules: Sequence[BaseModule],
    after: Mapping[str, Digest],
    tensors: Sequence[AdapterTensor],
    counts: Mapping[str, int],
    before: Mapping[str, Digest],
) -> None:
    """Hold what happened against what should have happened.

    Args:
        modules: the base, as surveyed before training.
        after: the digests of its tensors after training, as `digests_now` gives them.
        tensors: the adapter's.
        counts: steps with a gradient.
        before: digests of the adapter's tensors at step 0.

    Raises:
        Refused: a frozen tensor changed or has a gradient (``E_TRAIN_FROZEN_CHANGED``), or a
            trained one did not change or never saw a gradient (``E_TRAIN_NOT_REACHED``).
    """
    changed = [
        tensor.path
        for module in modules
        for tensor in (*module.parameters, *module.buffers)
        if tensor.tensor.requires_grad
        or tensor.tensor.grad is not None
        or after[tensor.path] != tensor.before
    ]
    if changed:
        raise Refused(
            "E_TRAIN_FROZEN_CHANGED",
            f"{len(changed)} frozen tensors changed in training",
            where=changed[0],
            found=", ".join(changed[:5]),
        )
    idle = [
        tensor.name
        for tensor in tensors
        if counts[tensor.name] == 0 or digest_tensor(tensor.parameter) == before[tensor.name]
    ]
    if idle:
        raise Refused(
            "E_TRAIN_NOT_REACHED",
            f"no gradient ever reached {counted(len(idle), 'tensor')} that should be trained",
            where=idle[0],
            found=", ".join(idle[:5]),
            hint="train for more steps, or leave these modules out of the spec's targets",
        )


def module_rows(
    modules: Sequence[BaseModule],
    after: Mapping[str, Digest],
    tensors: Sequence[AdapterTensor],
    counts: Mapping[str, int],
    before: Mapping[str, Digest],
    family: Family,
    checkpoint_keys: frozenset[str],
) -> list[ModulesRow]:
    """The rows of ``modules.jsonl``, sorted by module name.

    Args:
        modules: the base, as surveyed before training.
        after: the digests of its tensors after training, as `digests_now` gives them.
        tensors: the adapter's, trained.
        counts: steps with a gradient.
        before: digests of the adapter's tensors at step 0.
        family: the role table.
        checkpoint_keys: every key of the base's checkpoint.
    """
    by_module: dict[str, list[AdapterTensor]] = {}
    for tensor in tensors:
        by_module.setdefault(tensor.module, []).append(tensor)
    aliases = _aliases(modules, family)
    rows: list[ModulesRow] = []
    for module in modules:
        own = by_module.get(module.name, [])
        rows.append(
            {
                "module": module.name,
                "class": module.kind,
                "role": module.role.value,
                "state": _state(own),
                "weight_norm": _weight_norm(module) if _state(own) == "adapted" else None,
                "parameters": [
                    _parameter_row(tensor, after[tensor.path], family, checkpoint_keys, aliases)
                    for tensor in module.parameters
                ],
                "buffers": [_tensor_facts(own, after[own.path]) for own in module.buffers],
                "adapter": [
                    {
                        "tensor": tensor.name,
                        "shape": list(tensor.parameter.shape),
                        "dtype": dtype_name(tensor.parameter),
                        "elements": tensor.parameter.numel(),
                        "gradient_steps": counts[tensor.name],
                        "before": before[tensor.name],
                        "after": digest_tensor(tensor.parameter),
                    }
                    for tensor in own
                ],
            }
        )
    return rows


def _state(own: Sequence[AdapterTensor]) -> ModulesRowState:
    if not own:
        return "frozen"
    return "trained" if own[0].whole else "adapted"


_ROWS_AT_ONCE = 256  # in float64 eight bytes an element


def _weight_norm(module: BaseModule) -> str:
    weight = next(own.tensor for own in module.parameters if own.name == "weight")
    return stated_norm(
        square
        for start in range(0, len(weight), _ROWS_AT_ONCE)
        for square in _square_sums(weight[start : start + _ROWS_AT_ONCE])
    )


def _square_sums(rows: torch.Tensor) -> list[float]:
    sums: list[float] = rows.detach().cpu().double().square().sum(dim=1).tolist()
    return sums


def _tensor_facts(tensor: ModelTensor, after: Digest) -> ModulesRowBuffer:
    return {
        "name": tensor.name,
        "shape": list(tensor.tensor.shape),
        "dtype": dtype_name(tensor.tensor),
        "before": tensor.before,
        "after": after,
    }


def _aliases(modules: Sequence[BaseModule], family: Family) -> dict[str, str]:
    """The parameters that really share another one's storage, among those that may."""
    addresses = {
        tensor.path: tensor.tensor.data_ptr() for module in modules for tensor in module.parameters
    }
    return {
        name: other
        for name, other in family.aliases.items()
        if name in addresses and addresses[name] == addresses.get(other)
    }


def _parameter_row(
    tensor: ModelTensor,
    after: Digest,
    family: Family,
    checkpoint_keys: frozenset[str],
    aliases: Mapping[str, str],
) -> ModulesRowParameter:
    name = tensor.path
    keys = [key for key in family.checkpoint_keys(name) if key in checkpoint_keys][:1]
    facts = _tensor_facts(tensor, after)
    row: ModulesRowParameter = {
        "name": facts["name"],
        "shape": facts["shape"],
        "dtype": facts["dtype"],
        "before": facts["before"],
        "after": facts["after"],
        "elements": tensor.tensor.numel(),
        "checkpoint": keys,
        "requires_grad": tensor.tensor.requires_grad,
        "gradient_steps": 0,
    }
    if name in aliases:
        row["alias_of"], row["checkpoint"] = aliases[name], []
    return row
