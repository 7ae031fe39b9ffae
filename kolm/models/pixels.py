"""Models: what torchvision does to pixels, by torch alone.

Some families' image processors exist for torchvision only. What these ask it for is a few functions
over tensors, each of which is one of torch's; with these in its place they give the same pixels
whether torchvision is installed, broken or missing. Source: the reference of
``torchvision.transforms.v2.functional``, against which a test holds recorded digests.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import torch

_TORCHVISION: Final = "torchvision.transforms.v2"


class InterpolationMode(Enum):
    """How pixels between pixels are found, by Pillow's names. Torch has no kernel for the last one,
    but the library asks for its name."""

    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"


_SMOOTH: Final = (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC)


class _Smooth(dict[int, InterpolationMode]):
    """By Pillow's number what torch has. For Lanczos the library would take bicubic, and say so in
    a warning alone."""

    def __missing__(self, number: int) -> InterpolationMode:
        raise _not_torchs(f"resized by Pillow's method {int(number)}")


def _not_torchs(what: str) -> ValueError:
    return ValueError(f"pictures are {what} with torchvision only")


def resize(
    image: torch.Tensor,
    size: Sequence[int],
    interpolation: InterpolationMode = InterpolationMode.BILINEAR,
    antialias: bool = True,
) -> torch.Tensor:
    """A picture at another size.

    Args:
        image: (..., channels, height, width), of bytes or float32.
        size: height and width.
        interpolation: bilinear or bicubic.
        antialias: whether every pixel counts when the picture becomes smaller.

    Raises:
        ValueError: another interpolation, of which torch has no such kernel.
    """
    from torch.nn.functional import interpolate

    if interpolation not in _SMOOTH:
        raise _not_torchs(f"resized by {interpolation.value}")
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    flat = image.reshape(-1, *image.shape[-3:])
    made = interpolate(
        flat, list(size), mode=interpolation.value, align_corners=False, antialias=antialias
    )
    return made.reshape(*image.shape[:-2], *size)


def pad(
    image: torch.Tensor,
    padding: Sequence[int],
    fill: float | Sequence[float] | None = 0,
    padding_mode: str = "constant",
) -> torch.Tensor:
    """A picture with a border.

    Args:
        image: (..., channels, height, width).
        padding: pixels on the left, above, on the right and below.
        fill: what the border is, for all channels or one by one.
        padding_mode: ``constant``.

    Raises:
        ValueError: another mode.
    """
    if padding_mode != "constant":
        raise _not_torchs(f"bordered by {padding_mode}")
    left, above, right, below = padding
    high, wide = image.shape[-2:]
    colour = image.new_tensor(0 if fill is None else fill).reshape(-1, 1, 1)
    shape = (*image.shape[:-2], above + high + below, left + wide + right)
    made = colour.expand(shape).clone()
    made[..., above : above + high, left : left + wide] = image
    return made


def normalize(
    image: torch.Tensor,
    mean: Sequence[float] | torch.Tensor,
    std: Sequence[float] | torch.Tensor,
    inplace: bool = False,
) -> torch.Tensor:
    """A picture less a mean and over a deviation, channel by channel.

    Args:
        image: (..., channels, height, width), of float32.
        mean: of each channel.
        std: of each channel.
        inplace: whether the picture may be written over.
    """
    import torch

    means, deviations = (
        torch.as_tensor(value, dtype=image.dtype).reshape(-1, 1, 1) for value in (mean, std)
    )
    centred = image.sub_(means) if inplace else image.sub(means)
    return centred.div_(deviations)


def processor_class(model_type: str) -> Any | None:
    """The library's image processor of a family that it has for torchvision only, with the
    functions above in torchvision's place; None for any other family.

    Raises:
        ImportError, AttributeError: it asks torchvision for something else.
    """
    from transformers.models.auto import image_processing_auto as known

    kinds = known.IMAGE_PROCESSOR_MAPPING_NAMES.get(model_type, {})
    if "torchvision" not in kinds or "pil" in kinds:
        return None
    with _in_place():
        module = f"transformers.models.{model_type}.image_processing_{model_type}"
        return getattr(importlib.import_module(module), kinds["torchvision"])


@contextmanager
def _in_place() -> Iterator[None]:
    """While this holds, what asks for torchvision's functions gets those above. The library's
    common code for such processors keeps them where it found no torchvision."""
    from transformers import image_processing_backends as common
    from transformers.image_utils import PILImageResampling

    if "tvF" not in vars(common):
        mapping = _Smooth({PILImageResampling[mode.name]: mode for mode in _SMOOTH})
        vars(common).update(tvF=sys.modules[__name__], pil_torch_interpolation_mapping=mapping)
    stands = ModuleType(_TORCHVISION)
    vars(stands)["functional"] = common.tvF
    before = sys.modules.get(_TORCHVISION)
    sys.modules[_TORCHVISION] = stands
    try:
        yield
    finally:
        del sys.modules[_TORCHVISION]
        if before is not None:
            sys.modules[_TORCHVISION] = before
