"""Adapters: LoRA (arXiv:2106.09685) on the language role, with the projector trained whole.

Targets are one full-match regular expression made from the family's role table. Lists of suffixes
also hit the vision tower in most families. The projector is trained through `modules_to_save`:
with ``requires_grad`` alone PEFT would neither save it nor restore it when the adapter is off.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kolm import canonical
from kolm.adapters.attached import PREFIX, AdapterTensor, Attached
from kolm.digest import Digest, raw_of
from kolm.errors import Refused
from kolm.roles import Family

ADAPTER = "default"
_DELTA = re.compile(r"(?P<module>.+)\.(?P<part>lora_[A-Za-z_]+)\.default(?P<rest>\.weight)?")
_WHOLE = re.compile(r"(?P<module>.+?)\.modules_to_save\.default\.(?P<rest>.+)")


def attach_lora(
    model: Any,
    family: Family,
    method: Mapping[str, Any],
    *,
    train_projector: bool,
    adapt_vision: bool,
    seed: Digest,
) -> Attached:
    """Put LoRA layers on a base.

    Args:
        model: frozen base; it is changed in place.
        family: its role table.
        method: ``train.method`` of the lock.
        train_projector: also train the family's projector modules whole.
        adapt_vision: also adapt the linear layers of the vision tower.
        seed: the lock's ``initialisation`` seed; drawn from before any layer is made.

    Raises:
        Refused: the lock's expression is not the one that the roles give, or it does not hit
            exactly the modules that it should.
    """
    from peft import LoraConfig, get_peft_model

    expression = family.target_expression(method["targets"], vision=adapt_vision)
    if method["target_expression"] != expression:
        raise Refused(
            "E_ADAPTER_TARGETS",
            "the lock's target expression is not the one that the role table gives",
            where="train.method.target_expression",
            expected=expression,
            found=str(method["target_expression"])[:200],
        )
    expected = expected_targets(model, expression)
    config = LoraConfig(
        r=method["rank"],
        lora_alpha=method["alpha"],
        lora_dropout=float(canonical.parse_decimal(method["dropout"], where="dropout")),
        use_rslora=method["rslora"],
        use_dora=method["dora"],
        target_modules=expression,
        modules_to_save=list(family.projector_modules) if train_projector else None,
        init_lora_weights=True,
        bias="none",
    )
    seed_torch(seed)
    wrapped = get_peft_model(model, config, adapter_name=ADAPTER)
    wrapped.eval()  # the tower stays in evaluation mode; dropout is switched on by the loop
    tensors = trainable_tensors(wrapped)
    hold_in_float32(tensors)
    found = sorted({tensor.module for tensor in tensors if not tensor.whole})
    if found != expected:
        odd = sorted(set(found) ^ set(expected))
        raise Refused(
            "E_ADAPTER_TARGETS",
            "the adapter is not on exactly the modules that the roles name",
            where="train.method",
            found=", ".join(odd[:5]),
        )
    whole = {tensor.module for tensor in tensors if tensor.whole}
    projector = family.projector_modules if train_projector else ()
    if not all(any(name == p or name.startswith(p + ".") for p in projector) for name in whole):
        raise Refused("E_ADAPTER_TARGETS", "a module outside the projector is trained whole")
    return Attached(model=wrapped, base=wrapped.get_base_model(), tensors=tensors)


def expected_targets(model: Any, expression: str) -> list[str]:
    """The linear modules that the expression full-matches, sorted.

    Raises:
        Refused: it matches nothing, or something that is not a linear layer.
    """
    import torch

    names = []
    for name, module in model.named_modules():
        if re.fullmatch(expression, name):
            if not isinstance(module, torch.nn.Linear):
                raise Refused("E_ADAPTER_TARGETS", "a target is not a linear layer", where=name)
            names.append(name)
    if not names:
        raise Refused("E_ADAPTER_TARGETS", "no module of the base is a target", found=expression)
    return sorted(names)


def seed_torch(seed: Digest) -> None:
    """Seed torch with the first 8 bytes of a digest, big-endian."""
    import torch

    torch.manual_seed(int.from_bytes(raw_of(seed)[:8], "big"))


def trainable_tensors(wrapped: Any) -> tuple[AdapterTensor, ...]:
    """Every parameter that requires a gradient, under the name that PEFT saves it by.

    Raises:
        Refused: a parameter requires a gradient that belongs to no adapter.
    """
    tensors = []
    for name, parameter in wrapped.named_parameters():
        if parameter.requires_grad:
            saved, module, whole = saved_name(name)
            tensors.append(
                AdapterTensor(name=saved, module=module, whole=whole, parameter=parameter)
            )
    return tuple(sorted(tensors, key=lambda tensor: tensor.name))


def hold_in_float32(tensors: Sequence[AdapterTensor]) -> None:
    """Make the trained tensors float32, whatever the base's precision.

    In bfloat16 an update below 1/256 of a weight rounds away, so that a projector with a usual
    learning rate would never move (the master weights of arXiv:1710.03740, section 3.1). PEFT
    widens its own factors but not what it trains through `modules_to_save`.
    """
    for tensor in tensors:
        tensor.parameter.data = tensor.parameter.data.float()


def saved_name(name: str) -> tuple[str, str, bool]:
    """The saved name, the base's module, and whether a whole weight is replaced.

    Args:
        name: in-memory name inside the PEFT model.

    Raises:
        Refused: the name is no adapter tensor's.
    """
    if delta := _DELTA.fullmatch(name):
        module = delta["module"]
        # PEFT saves DoRA's magnitudes without the last part of their name.
        rest = "" if delta["part"] == "lora_magnitude_vector" else delta["rest"] or ""
        saved = f"{module}.{delta['part']}{rest}"
        return saved, module.removeprefix(PREFIX), False
    if whole := _WHOLE.fullmatch(name):
        saved = f"{whole['module']}.{whole['rest']}"
        return saved, saved.removeprefix(PREFIX).rpartition(".")[0], True
    raise Refused(
        "E_ADAPTER_TARGETS", "a parameter outside the adapter requires a gradient", where=name
    )


def adapter_modules(names: Sequence[str]) -> list[str]:
    """The base's modules that saved LoRA tensors belong to, sorted."""
    found = {name.removeprefix(PREFIX).partition(".lora_")[0] for name in names if ".lora_" in name}
    return sorted(found)
