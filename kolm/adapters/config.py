"""Adapters: an adapter is put on a base by a config, made from the keys of its bundle."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kolm import canonical
from kolm.format.names import CONFIG
from kolm.methods import bottleneck, prefix

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

_OWN = {  # the types of configs that PEFT does not have: where their layer is, and its name
    bottleneck.PEFT_TYPE: ("kolm.adapters.bottleneck", "Bottleneck"),
    prefix.PEFT_TYPE: ("kolm.adapters.prefix", "Prefix"),
}


def make_config(keys: Mapping[str, Any]) -> PeftConfig:
    """The config of PEFT, or of a method that kolm brings."""
    if own := _OWN.get(keys["peft_type"]):
        from kolm.adapters import custom

        module, name = own
        return custom.make_config(getattr(import_module(module), name), keys)
    from peft import PeftConfig

    return PeftConfig.from_peft_type(**keys)


def read_config(folder: Path) -> PeftConfig:
    """The config of an unpacked adapter."""
    data = (folder / CONFIG).read_bytes()
    keys: Mapping[str, Any] = canonical.loads(data, where=CONFIG, floats=True)
    return make_config(keys)


def put_on(model: PreTrainedModel, config: PeftConfig) -> PeftModel:
    """A base with the layers of an adapter in it, all at their initial values.

    Raises:
        Refused: ``E_ADAPTER_TARGETS``, the base has no place for it.
    """
    from peft import get_peft_model

    from kolm.adapters.prefix import show

    wrapped = get_peft_model(model, config)
    show(wrapped)
    return wrapped
