"""Models: what Qwen2.5-VL needs of torch: patches, positions, the tower, the projector, the parts
of a forward pass.

Facts and names: transformers 5, ``modeling_qwen2_5_vl.py``. The torch-free half of the family is
``kolm/roles/qwen2_5_vl.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch

Grid = tuple[int, int, int]

LONGEST_SIDES = 200  # transformers, smart_resize: a longer side is refused


def image_grid(image_processor: Any, height: int, width: int, max_pixels: int | None) -> Grid:
    """The patch grid (1, rows, columns) that the image processor will cut an image into.

    Args:
        image_processor: of the base; its size limits and patch sizes count.
        height: of the upright image, in pixels.
        width: of the upright image, in pixels.
        max_pixels: a limit below the processor's own, or None.

    A picture that is too thin for the processor is cut as `widened` says.
    """
    least, most = pixel_limits(image_processor, max_pixels)
    patch, merge = int(image_processor.patch_size), int(image_processor.merge_size)
    return _grid(height, width, patch, merge, least, most)


@lru_cache(maxsize=4096)
def _grid(height: int, width: int, patch: int, merge: int, least: int, most: int) -> Grid:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    rows, columns = smart_resize(*widened(height, width, most), patch * merge, least, most)
    return (1, rows // patch, columns // patch)


def too_thin(height: int, width: int) -> bool:
    """Whether the processor refuses a picture of this size."""
    return max(height, width) > LONGEST_SIDES * min(height, width)


def widened(height: int, width: int, most: int) -> tuple[int, int]:
    """The size at which a picture is handed to the image processor: (height, width).

    Every picture keeps its size but one that is too thin: its short side is made as long as the
    processor demands. The long side is first made so short that what results has about as many
    pixels as the processor would leave of it; else a line of millions of pixels would become a
    picture of trillions.

    Args:
        height: in pixels.
        width: in pixels.
        most: pixels that the processor leaves at most.
    """
    if not too_thin(height, width):
        return height, width
    least = min(height, width)
    long = max(least, min(max(height, width), math.isqrt(LONGEST_SIDES * most)))
    short = max(least, -(-long // LONGEST_SIDES))
    return (long, short) if height > width else (short, long)


def pixel_limits(image_processor: Any, max_pixels: int | None) -> tuple[int, int]:
    """The fewest and most pixels after resizing, with an optional lower maximum."""
    size = image_processor.size
    least, most = int(size["shortest_edge"]), int(size["longest_edge"])
    if max_pixels is not None and max_pixels < most:
        return min(least, max_pixels), max_pixels
    return least, most


def image_tokens(image_processor: Any, grid: Grid) -> int:
    """Features of an image after the merger, and so its tokens."""
    frames, rows, columns = grid
    return frames * rows * columns // int(image_processor.merge_size) ** 2


def pixel_values(
    image_processor: Any, image: Any, max_pixels: int | None
) -> tuple[torch.Tensor, Grid]:
    """The patches of one upright RGB picture, (patches, numbers a patch), and their grid."""
    least, most = pixel_limits(image_processor, max_pixels)
    height, width = widened(image.height, image.width, most)
    if (width, height) != image.size:
        image = image.resize((width, height))
    out = image_processor(
        images=[image],
        size={"shortest_edge": least, "longest_edge": most},
        return_tensors="pt",
    )
    frames, rows, columns = (int(n) for n in out["image_grid_thw"][0])
    return out["pixel_values"], (frames, rows, columns)


@lru_cache(maxsize=8192)
def position_ids(length: int, images: tuple[tuple[int, Grid], ...], merge: int) -> np.ndarray:
    """M-RoPE positions of one example: rows time, height, width.

    A text token has the same position in all three rows. An image's tokens share one time and
    count rows and columns; what follows continues after the image's longer side
    (arXiv:2409.12191, section 2.1).

    Args:
        length: tokens of the example.
        images: (position of the first token, grid) of each image, in order.
        merge: patches a side that the merger joins into one token.

    Returns:
        An int64 array of shape (3, length) that callers must not change.
    """
    import numpy as np

    out = np.empty((3, length), dtype=np.int64)
    token, position = 0, 0
    for start, (frames, rows, columns) in images:
        out[:, token:start] = np.arange(position, position + start - token)
        position += start - token
        high, wide = rows // merge, columns // merge
        tokens = frames * high * wide
        index = np.indices((frames, high, wide)).reshape(3, tokens)
        out[:, start : start + tokens] = index + position
        position += max(rows, columns) // merge
        token = start + tokens
    out[:, token:] = np.arange(position, position + length - token)
    out.setflags(write=False)
    return out


def merge_size(model: Any) -> int:
    """Patches a side that the merger joins into one token."""
    return int(model.config.vision_config.spatial_merge_size)


def tower_features(model: Any, pixels: torch.Tensor, grids: Sequence[Grid]) -> list[torch.Tensor]:
    """The frozen tower's output for several images, before the projector.

    Args:
        model: the base, not wrapped by PEFT.
        pixels: the images' patches, one after the other.
        grids: one for each image.

    Returns:
        For each image (patches, width), in the order of the tower's attention windows. `project`
        brings its results back to reading order, as the library does: a matrix product may round
        a row otherwise at another place, so that reordering first would not give equal bits.
    """
    import torch

    visual = model.model.visual
    grid_thw = torch.tensor(grids, dtype=torch.long)
    with torch.no_grad():
        hidden = visual(pixels.to(visual.dtype), grid_thw=grid_thw).last_hidden_state
    return list(torch.split(hidden, [frames * rows * cols for frames, rows, cols in grids]))


def project(model: Any, features: torch.Tensor, grids: Sequence[Grid]) -> torch.Tensor:
    """The projector on tower features.

    Args:
        model: the base, PEFT's layers in place or not.
        features: what `tower_features` gave for the images, one after the other.
        grids: one for each image.

    Returns:
        (tokens, width of the language model), in reading order.
    """
    visual = model.model.visual
    merged: torch.Tensor = visual.merger(features)
    order = _reading_order(
        tuple(grids), visual.spatial_merge_size, visual.window_size, visual.patch_size
    )
    return merged[order.to(merged.device)]


@lru_cache(maxsize=1024)
def _reading_order(grids: tuple[Grid, ...], merge: int, window: int, patch: int) -> torch.Tensor:
    """Where each token of images, in reading order, lies among their windows: (tokens,)."""
    import torch
    from transformers.vision_utils import get_vision_window_index

    index, _ = get_vision_window_index(torch.tensor(grids, dtype=torch.long), merge, window, patch)
    return torch.argsort(index)


def live_features(model: Any, pixels: torch.Tensor, grids: Sequence[Grid]) -> torch.Tensor:
    """Tower and projector as transformers runs them: (tokens, width)."""
    import torch

    visual = model.model.visual
    grid_thw = torch.tensor(grids, dtype=torch.long)
    out: torch.Tensor = visual(pixels.to(visual.dtype), grid_thw=grid_thw).pooler_output
    return out


def token_embeddings(model: Any, input_ids: torch.Tensor) -> torch.Tensor:
    """Embeddings of token ids: (batch, length, width)."""
    out: torch.Tensor = model.model.language_model.embed_tokens(input_ids)
    return out


def language_hidden(model: Any, embeddings: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """The language model's last hidden states for right-padded examples.

    There is no attention mask: under causal attention no token sees the padding that follows
    it, and hidden states of padding are never read.

    Args:
        model: the base, PEFT's layers in place.
        embeddings: (batch, length, width).
        positions: (3, batch, length).
    """
    out = model.model.language_model(
        inputs_embeds=embeddings, position_ids=positions, attention_mask=None, use_cache=False
    )
    hidden: torch.Tensor = out.last_hidden_state
    return hidden


def logits(model: Any, hidden: torch.Tensor) -> torch.Tensor:
    """The head on hidden states: (rows, vocabulary)."""
    out: torch.Tensor = model.lm_head(hidden)
    return out
