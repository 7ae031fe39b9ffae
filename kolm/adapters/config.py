"""Adapters: the config that puts an adapter on a base, from the keys of its bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kolm import canonical
from kolm.format.names import CONFIG
from kolm.methods.bottleneck import PEFT_TYPE

if TYPE_CHECKING:
    from peft import PeftConfig


def make_config(keys: Mapping[str, Any]) -> PeftConfig:
    """The config of PEFT, or of a method that kolm brings."""
    if keys["peft_type"] == PEFT_TYPE:
        from kolm.adapters import bottleneck

        return bottleneck.make_config(keys)
    from peft import PeftConfig

    return PeftConfig.from_peft_type(**keys)


def read_config(folder: Path) -> PeftConfig:
    """The config of an unpacked adapter."""
    data = (folder / CONFIG).read_bytes()
    keys: Mapping[str, Any] = canonical.loads(data, where=CONFIG, floats=True)
    return make_config(keys)
