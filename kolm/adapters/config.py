"""Adapters: an adapter is put on a base by a config, made from the keys of its bundle."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kolm import canonical
from kolm.format.names import CONFIG
from kolm.methods import bottleneck, p_tuning, prompt
from kolm.methods import prefix as prefixes

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

_OWN = {  # types of configs whose layer is kolm's own: where it is, and its name
    bottleneck.PEFT_TYPE: ("kolm.adapters.bottleneck", "Bottleneck"),
    p_tuning.PEFT_TYPE: ("kolm.adapters.front", "PTuning"),
    prefixes.PEFT_TYPE: ("kolm.adapters.prefix", "Prefix"),
    prompt.KOLM_TYPE: ("kolm.adapters.front", "Prompt"),
    prompt.PEFT_TYPE: ("kolm.adapters.front", "Prompt"),
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

    from kolm.adapters import front, lora, prefix

    wrapped = get_peft_model(model, config)
    lora.scale_early(wrapped)
    front.demand_one_table(wrapped)
    prefix.show(wrapped)
    return wrapped


def saved_tensors(wrapped: PeftModel) -> dict[str, torch.Tensor]:
    """The tensors of an adapter under the names of its file; they share the live ones' storage."""
    return {name: tensor for name, (_, tensor) in _by_saved_name(wrapped).items()}


def restore_tensors(wrapped: PeftModel, saved: Mapping[str, torch.Tensor]) -> None:
    """Copy tensors that have exactly the names of `saved_tensors` into an adapter."""
    from peft import set_peft_model_state_dict

    own = {name: inside for name, (inside, _) in _by_saved_name(wrapped).items()}
    set_peft_model_state_dict(wrapped, {own[name]: tensor for name, tensor in saved.items()})


def _by_saved_name(wrapped: PeftModel) -> dict[str, tuple[str, torch.Tensor]]:
    from peft import get_peft_model_state_dict

    from kolm.adapters import front

    inside = get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    return {front.saved_name(name): (name, tensor) for name, tensor in inside.items()}
