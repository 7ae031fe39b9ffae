"""Models: the runtime of a family, found by its model type.

A family is one file here with the functions that `FamilyRuntime` names, one file in
``kolm/roles``, and one line in the table below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

from kolm import roles
from kolm.models import qwen2_5_vl

if TYPE_CHECKING:
    import torch

Grid = tuple[int, int, int]


class FamilyRuntime(Protocol):
    """How a family cuts pictures. Each is a function of the family's file."""

    def image_grid(
        self, image_processor: Any, height: int, width: int, max_pixels: int | None
    ) -> Grid:
        """The patch grid of an image of this size."""

    def too_thin(self, height: int, width: int) -> bool:
        """Whether a picture's short side must be made longer before it can be processed."""

    def image_tokens(self, image_processor: Any, grid: Grid) -> int:
        """The tokens of a grid."""

    def pixel_values(
        self, image_processor: Any, image: Any, max_pixels: int | None
    ) -> tuple[dict[str, torch.Tensor], Grid]:
        """What the model takes for one image, and its grid."""


_RUNTIMES: dict[str, Any] = {"qwen2_5_vl": qwen2_5_vl}


def runtime(model_type: str) -> FamilyRuntime:
    """The runtime of a family.

    Raises:
        Refused: the family is unknown; the role table says it best.
    """
    roles.family(model_type)
    return cast(FamilyRuntime, _RUNTIMES[model_type])
