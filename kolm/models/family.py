"""Models: the runtime of a family, found by its model type.

A family is one file here with the functions that `FamilyRuntime` names, one file in
``kolm/roles``, and one line in the table below.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from kolm import roles
from kolm.models import qwen2_5_vl

if TYPE_CHECKING:
    import numpy as np
    import torch

Grid = tuple[int, int, int]


class FamilyRuntime(Protocol):
    """What training and evaluation ask of a family. Each is a function of the family's file."""

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
    ) -> tuple[torch.Tensor, Grid]:
        """The patches of one image, and its grid."""

    def position_ids(
        self, length: int, images: tuple[tuple[int, Grid], ...], merge: int
    ) -> np.ndarray:
        """Positions of one example, (3, length)."""

    def merge_size(self, model: Any) -> int:
        """Patches a side that become one token."""

    def tower_features(
        self, model: Any, pixels: torch.Tensor, grids: Sequence[Grid]
    ) -> list[torch.Tensor]:
        """The tower's output for each image, before the projector."""

    def project(self, model: Any, features: torch.Tensor, grids: Sequence[Grid]) -> torch.Tensor:
        """The projector on tower features of images, one after the other."""

    def live_features(
        self, model: Any, pixels: torch.Tensor, grids: Sequence[Grid]
    ) -> torch.Tensor:
        """Tower and projector in one, as the library runs them."""

    def token_embeddings(self, model: Any, input_ids: torch.Tensor) -> torch.Tensor:
        """Embeddings of token ids."""

    def language_hidden(
        self, model: Any, embeddings: torch.Tensor, positions: torch.Tensor
    ) -> torch.Tensor:
        """Last hidden states of right-padded examples."""

    def logits(self, model: Any, hidden: torch.Tensor) -> torch.Tensor:
        """The head on hidden states."""


_RUNTIMES: dict[str, Any] = {"qwen2_5_vl": qwen2_5_vl}


def runtime(model_type: str) -> FamilyRuntime:
    """The runtime of a family.

    Raises:
        Refused: the family is unknown; the role table says it best.
    """
    roles.family(model_type)
    return cast(FamilyRuntime, _RUNTIMES[model_type])
