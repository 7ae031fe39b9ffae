"""Pretraining: positions of pictures and texts, as Qwen2.5-VL counts them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

Grid = tuple[int, int, int]


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
