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

_OWN = {  # the types of configs that PEFT does not have, and who makes them
    bottleneck.PEFT_TYPE: "bottleneck",
    prefix.PEFT_TYPE: "prefix",
}


def make_config(keys: Mapping[str, Any]) -> PeftConfig:
    """The config of PEFT, or of a method that kolm brings."""
    if own := _OWN.get(keys["peft_type"]):
        made: PeftConfig = import_module(f"kolm.adapters.{own}").make_config(keys)
        return made
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
