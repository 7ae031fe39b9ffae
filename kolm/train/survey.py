"""Train: the tensors of a base as they were loaded, by module, with their digests and roles.

What became of them is held against this afterwards (`kolm.train.evidence`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kolm import digest, file_digests
from kolm.bundle.tensors import tensor_digest
from kolm.digest import Digest
from kolm.errors import Refused
from kolm.format.norms import stated_norm
from kolm.roles import Family, Role
from kolm.roles.checkpoints import stored_keys
from kolm.train.sharding import is_shared, whole

if TYPE_CHECKING:
    import torch

    from kolm.models.four_bits import Linear4bit
    from kolm.records.documents import ModulesRowDtype

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
class In4Bits:
    """A weight that is held in 4 bits while it is trained on.

    Attributes:
        layer: whose weight it is.
        before: digest of all that it is stored in, before training.
        norm: of the weight as it was loaded.
    """

    layer: Linear4bit
    before: Digest
    norm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTensor:
    """One parameter or buffer of the base as it was loaded.

    Attributes:
        name: in its module.
        path: in the model.
        tensor: what the model reads.
        shape: as it was loaded, as are dtype and digest.
        in_4_bits: what is held instead, where it was quantised.
    """

    name: str
    path: str
    tensor: torch.Tensor
    shape: tuple[int, ...]
    dtype: ModulesRowDtype
    before: Digest
    in_4_bits: In4Bits | None = None

    @property
    def held(self) -> Digest:
        """The digest of what it was held in before training."""
        return self.before if self.in_4_bits is None else self.in_4_bits.before


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
        yield ModelTensor(
            name=name,
            path=f"{module}.{name}" if module else name,
            tensor=tensor,
            shape=tuple(tensor.shape),
            dtype=dtype_name(tensor),
            before=before[id(tensor)],
        )


def quantise(
    modules: tuple[BaseModule, ...], layers: Iterable[tuple[str, Linear4bit]]
) -> tuple[BaseModule, ...]:
    """The modules of a base whose layers are quantised one after the other.

    Nothing keeps a weight in its first form when the next layer is asked for.

    Args:
        modules: as they were loaded.
        layers: quantises the next layer and gives its name and what it is now.
    """
    held = {module.name: module for module in modules}
    names = list(held)
    del modules
    for name, layer in layers:
        module = held[name]
        in_4_bits = In4Bits(layer=layer, before=_digest_stored(layer), norm=weight_norm(module))
        parameters = tuple(
            replace(own, tensor=layer.weight, in_4_bits=in_4_bits) if own.name == "weight" else own
            for own in module.parameters
        )
        held[name] = replace(module, parameters=parameters)
        del module
    return tuple(held[name] for name in names)


def again(modules: Sequence[BaseModule], model: torch.nn.Module) -> tuple[BaseModule, ...]:
    """The modules of a base whose tensors became other objects that hold the same."""
    now: dict[str, torch.Tensor] = dict(model.named_parameters(remove_duplicate=False))
    now.update(model.named_buffers(remove_duplicate=False))
    return tuple(
        replace(
            module,
            parameters=tuple(replace(own, tensor=now[own.path]) for own in module.parameters),
            buffers=tuple(replace(own, tensor=now[own.path]) for own in module.buffers),
        )
        for module in modules
    )


def demand_keys(
    modules: Sequence[BaseModule], family: Family, checkpoint_keys: frozenset[str]
) -> None:
    """Refuse a base that stores a parameter as nobody could compare it, before it is trained on.

    Raises:
        Refused: ``E_BASE_WEIGHTS``: the checkpoint has no tensor under a key of the family's.
    """
    aliases = aliases_in(modules, family)
    for module in modules:
        for tensor in module.parameters:
            stored = stored_keys(family, tensor.path, tensor.shape, checkpoint_keys)
            if tensor.path not in aliases and not stored:
                raise Refused(
                    "E_BASE_WEIGHTS",
                    "the checkpoint holds a parameter under no key that the family has for it",
                    where=tensor.path,
                    expected=" or ".join(family.checkpoint_keys(tensor.path)),
                    hint="use the base as it was published",
                )


def aliases_in(modules: Sequence[BaseModule], family: Family) -> dict[str, str]:
    """The parameters that really share another one's storage, among those that may."""
    addresses = {
        tensor.path: tensor.tensor.data_ptr() for module in modules for tensor in module.parameters
    }
    return {
        name: other
        for name, other in family.aliases.items()
        if name in addresses and addresses[name] == addresses.get(other)
    }


def digests_now(modules: Sequence[BaseModule]) -> dict[str, Digest]:
    """The digest that what each tensor of a base is held in has now, by its path in the model."""
    owned = [own for module in modules for own in (*module.parameters, *module.buffers)]
    found = _digests([own.tensor for own in owned if own.in_4_bits is None])
    return {
        own.path: found[id(own.tensor)]
        if own.in_4_bits is None
        else _digest_stored(own.in_4_bits.layer)
        for own in owned
    }


def _digests(tensors: Sequence[torch.Tensor]) -> dict[int, Digest]:
    """The digest of each tensor by its `id`; one that modules share is hashed once."""
    distinct = {id(tensor): tensor for tensor in tensors}
    here = {key: tensor for key, tensor in distinct.items() if not is_shared(tensor)}
    found = dict(zip(here, file_digests.each(digest_tensor, here.values()), strict=True))
    # One after the other and in one order: processes put each together at the same time.
    return found | {key: digest_tensor(distinct[key]) for key in distinct if key not in here}


def _digest_stored(layer: Linear4bit) -> Digest:
    return digest.of_value([digest_tensor(tensor) for tensor in layer.stored()])


def digest_tensor(tensor: torch.Tensor) -> Digest:
    """The digest of a tensor in memory, over dtype, shape and bytes."""
    return tensor_digest(dtype_name(tensor), tuple(tensor.shape), raw_bytes(tensor))


def dtype_name(tensor: torch.Tensor) -> ModulesRowDtype:
    """The safetensors name of a tensor's dtype."""
    return _DTYPES[str(tensor.dtype)]


def raw_bytes(tensor: torch.Tensor) -> memoryview:
    """A tensor's elements in row order, little-endian (which every supported machine is).

    They are the tensor's own memory where that holds them in this order: a matrix of a large base
    takes a gigabyte.
    """
    import torch

    flat = whole(tensor.detach()).cpu().contiguous().reshape(-1)
    view: memoryview = flat.view(torch.uint8).numpy().data
    return view


_ROWS_AT_ONCE = 256  # in float64 eight bytes an element


def weight_norm(module: BaseModule) -> str:
    """The norm of a module's weight as it was loaded, in the form of `modules.jsonl`."""
    own = next(own for own in module.parameters if own.name == "weight")
    if own.in_4_bits is not None:
        return own.in_4_bits.norm
    weight = whole(own.tensor)
    return stated_norm(
        square
        for start in range(0, len(weight), _ROWS_AT_ONCE)
        for square in _square_sums(weight[start : start + _ROWS_AT_ONCE])
    )


def _square_sums(rows: torch.Tensor) -> list[float]:
    sums: list[float] = rows.detach().cpu().double().square().sum(dim=1).tolist()
    return sums
