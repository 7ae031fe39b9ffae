"""Models: the model that the library makes of a config, on no device and without weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kolm import roles
from kolm.extras import missing_extra
from kolm.models.library import (
    hide_torchvision,
    model_class,
    quiet_library,
    torch_alone,
    unbuildable,
)


def parameter_shapes(folder: Path) -> list[tuple[str, tuple[int, ...]]]:
    """Name and shape of every parameter of a base that has a config, in the library's order.

    Those that share another's storage are left out.

    Raises:
        Lacking: torch or transformers is not installed.
        Refused: ``E_BASE_CONFIG``, the library makes no model of the config.
    """
    try:
        import torch

        hide_torchvision()
        from transformers import AutoConfig
    except ImportError as error:
        raise missing_extra("train", "a model needs an optional part of kolm") from error
    try:
        with quiet_library(), torch_alone(), torch.device("meta"):
            config: Any = AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            roles.family(config.model_type)
            model = model_class(config.model_type).from_config(config)
            model.tie_weights()
    except Exception as error:
        raise unbuildable(error) from error
    return [(name, tuple(tensor.shape)) for name, tensor in model.named_parameters()]
