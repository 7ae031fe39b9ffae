"""Models: weights become a model in memory, in the one way that training and evaluation share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kolm import roles
from kolm.errors import Refused, Usage
from kolm.extras import missing_extra
from kolm.models.device import CPU
from kolm.models.library import model_class, quiet_library, torch_alone, unbuildable
from kolm.models.resolve import read_config

if TYPE_CHECKING:
    from transformers import PreTrainedModel


# Scaled dot-product attention is deterministic on the CPU and the fastest that needs no extra.
ATTENTION = "sdpa"


def attention_of(config: roles.Config, attention: str = ATTENTION) -> dict[str, str]:
    """The attention implementation of each part of a model, the whole named by the empty text."""
    table = roles.FAMILIES.get(str(config.get("model_type")))
    return {"": attention, **dict.fromkeys(table.eager(config) if table else (), "eager")}


def load_model(
    folder: Path,
    *,
    dtype: str = "float32",
    attention: str = ATTENTION,
    device: str = CPU,
    spread: bool = False,
    copied: bool = False,
) -> PreTrainedModel:
    """Load a base in evaluation mode with every parameter frozen.

    Args:
        folder: with config, weights and nothing that runs code: remote code is never trusted.
        dtype: ``float32`` or ``bfloat16``.
        attention: the attention implementation, the same for every run of a lock.
        device: that it is loaded to.
        spread: over all devices of that kind, and the host's memory where they do not suffice; for
            answers alone.
        copied: read the files into memory and map none, so that what happens to them later changes
            no weight, and a file that is cut ends no process; takes as much memory as they.

    Raises:
        Lacking: torch or transformers is not installed, or the device's memory does not suffice.
        Usage: an unknown dtype.
        Refused: the checkpoint does not hold every weight, or holds others, or the library makes
            no model of its config.
    """
    try:
        import torch

        config = read_config(folder)
        library = model_class(str(config.get("model_type")))
    except ImportError as error:
        raise missing_extra("train", "a model needs an optional part of kolm") from error
    if dtype not in ("float32", "bfloat16"):
        raise Usage(
            "E_MODEL_DTYPE", "unknown precision", expected="float32 or bfloat16", found=dtype
        )
    try:
        with quiet_library(), torch_alone():
            model, report = library.from_pretrained(
                folder,
                dtype=getattr(torch, dtype),
                attn_implementation=attention_of(config, attention),
                **_placement(device, spread),
                disable_mmap=copied,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )
    except (OSError, MemoryError, torch.OutOfMemoryError):
        raise  # the machine's, and told as such
    except Exception as error:
        raise unbuildable(error) from error
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        names = sorted(str(name) for name in report.get(kind) or ())
        if names:
            raise Refused(
                "E_BASE_WEIGHTS",
                f"the checkpoint's tensors are not the model's: {kind.replace('_', ' ')}",
                where="base",
                found=", ".join(names[:5]),
            )
    model.eval()
    model.requires_grad_(False)
    return model


def _placement(device: str, spread: bool) -> dict[str, Any]:
    """The library's arguments for a place. Without any it maps weights into the host's memory."""
    if device == CPU:
        return {}
    return {"device_map": "auto" if spread else {"": device}}
