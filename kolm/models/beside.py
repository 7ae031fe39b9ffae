"""Models: pictures that a language model reads beside its tokens, by cross attention.

Source: transformers, ``processing_mllama.py``, ``get_cross_attention_token_mask`` and
``convert_sparse_cross_attention_mask_to_dense``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

from kolm.models.taps import Recording, join

if TYPE_CHECKING:
    import torch


def alike(
    image_mask: torch.Tensor, pictures: Recording
) -> Iterator[tuple[list[int], Recording | None]]:
    """The rows with equally many pictures, for each number of them, and these pictures.

    Args:
        image_mask: (batch, length), 1 at the token of a picture.
        pictures: of all rows in order.
    """
    counts: list[int] = image_mask.sum(1).tolist()
    if len(set(counts)) == 1:
        yield list(range(len(counts))), pictures
        return
    firsts = [0, *accumulate(counts)]
    for count in sorted(set(counts)):
        own = [row for row, found in enumerate(counts) if found == count]
        shown = [pictures.part(firsts[row] + number) for row in own for number in range(count)]
        yield own, join(shown) if shown else None


def seen(image_mask: torch.Tensor, tiles: torch.Tensor) -> torch.Tensor:
    """Which token reads which tile: those of the last picture before it that it fills, and of
    pictures whose tokens touch that one's.

    Args:
        image_mask: (batch, length), 1 at the token of a picture; every row has equally many.
        tiles: (.., tiles) of all pictures in order, 1 for each that a picture fills.

    Returns:
        (batch, length, pictures of a row, tiles) int64.
    """
    import torch

    filled = tiles.reshape(len(image_mask), -1, tiles.shape[-1])
    shown = image_mask.bool()
    begins = shown & ~torch.nn.functional.pad(shown, (1, 0))[:, :-1]
    run = begins.cumsum(1)  # of pictures that touch: the last one until here
    at = shown.nonzero()[:, 1].reshape(len(shown), -1)
    before = at[:, None, :] <= torch.arange(shown.shape[1], device=at.device)[:, None]
    reads = before & (run[:, :, None] == run.gather(1, at)[:, None, :])
    return reads[..., None].long() * filled[:, None].long()
