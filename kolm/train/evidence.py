"""Train: evidence of what changed: a digest of every tensor before and after, and how many steps
each trainable tensor saw a gradient.

A frozen tensor that changed, or a trained one that no gradient reached, ends the compile: a
receipt says what happened, not what a config asked for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from kolm.counting import counted
from kolm.digest import Digest
from kolm.errors import Refused
from kolm.roles import Family
from kolm.roles.checkpoints import stored_keys
from kolm.train.survey import (
    BaseModule,
    ModelTensor,
    aliases_in,
    digest_tensor,
    dtype_name,
    weight_norm,
)

if TYPE_CHECKING:
    from kolm.adapters.attach import AdapterTensor
    from kolm.records.documents import (
        ModulesRow,
        ModulesRowAdapter,
        ModulesRowBuffer,
        ModulesRowParameter,
        ModulesRowState,
    )


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
        or after[tensor.path] != tensor.held
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
    in_8_bits: AbstractSet[str],
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
        in_8_bits: those whose moments are in 8 bits.
        family: the role table.
        checkpoint_keys: every key of the base's checkpoint.
    """
    by_module: dict[str, list[AdapterTensor]] = {}
    for tensor in tensors:
        by_module.setdefault(tensor.module, []).append(tensor)
    aliases = aliases_in(modules, family)
    rows: list[ModulesRow] = []
    for module in modules:
        own = by_module.get(module.name, [])
        rows.append(
            {
                "module": module.name,
                "class": module.kind,
                "role": module.role.value,
                "state": _state(own),
                "weight_norm": weight_norm(module)
                if _state(own) == "adapted" and any(p.name == "weight" for p in module.parameters)
                else None,
                "parameters": [
                    _parameter_row(tensor, after[tensor.path], family, checkpoint_keys, aliases)
                    for tensor in module.parameters
                ],
                "buffers": [_tensor_facts(own, after[own.path]) for own in module.buffers],
                "adapter": [
                    _adapter_row(tensor, counts, before, in_8_bits=tensor.name in in_8_bits)
                    for tensor in own
                ],
            }
        )
    return rows


def _adapter_row(
    tensor: AdapterTensor,
    counts: Mapping[str, int],
    before: Mapping[str, Digest],
    *,
    in_8_bits: bool,
) -> ModulesRowAdapter:
    row: ModulesRowAdapter = {
        "tensor": tensor.name,
        "shape": list(tensor.parameter.shape),
        "dtype": dtype_name(tensor.parameter),
        "elements": tensor.parameter.numel(),
        "gradient_steps": counts[tensor.name],
        "before": before[tensor.name],
        "after": digest_tensor(tensor.parameter),
    }
    if in_8_bits:
        row["moments"] = "U8"
    return row


def _state(own: Sequence[AdapterTensor]) -> ModulesRowState:
    if not own:
        return "frozen"
    return "trained" if own[0].whole else "adapted"


def _tensor_facts(tensor: ModelTensor, after: Digest) -> ModulesRowBuffer:
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "before": tensor.before,
        # What was loaded is gone where it was quantised; `quantised` says what became of that.
        "after": tensor.before if tensor.in_4_bits else after,
    }


def _parameter_row(
    tensor: ModelTensor,
    after: Digest,
    family: Family,
    checkpoint_keys: frozenset[str],
    aliases: Mapping[str, str],
) -> ModulesRowParameter:
    name = tensor.path
    facts = _tensor_facts(tensor, after)
    row: ModulesRowParameter = {
        "name": facts["name"],
        "shape": facts["shape"],
        "dtype": facts["dtype"],
        "before": facts["before"],
        "after": facts["after"],
        "elements": math.prod(tensor.shape),
        "checkpoint": list(stored_keys(family, name, tensor.shape, checkpoint_keys)),
        "requires_grad": tensor.tensor.requires_grad,
        "gradient_steps": 0,
    }
    if tensor.in_4_bits is not None:
        layer = tensor.in_4_bits.layer
        row["quantised"] = {
            "kind": layer.kind,
            "double": layer.double,
            "block_size": layer.block_size,
            "before": tensor.in_4_bits.before,
            "after": after,
        }
    if name in aliases:
        row["alias_of"], row["checkpoint"] = aliases[name], []
    return row
