"""Models: positions of Qwen2.5-VL, and a forward pass written for speed.

Facts and names: transformers 5, ``modeling_qwen2_5_vl.py``. The torch-free half of the family is
``kolm/roles/qwen2_5_vl.py``.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from functools import lru_cache
from typing import TYPE_CHECKING

from kolm.models.generation import Generated, generate_greedy

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import PreTrainedModel

    from kolm.models.forward import Tokens
    from kolm.models.taps import Recording, Tower

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


class WrittenForward:
    """The forward pass of Qwen2.5-VL without the library's bookkeeping: the same bits, sooner.

    Positions of an example are counted once, windows of a grid are laid out once, and no mask is
    built where none is needed. `kolm.models.forward` says what each function gives.

    Args:
        model: the base, PEFT's layers in place or not.
        tower: its tower.
    """

    def __init__(self, model: PreTrainedModel, tower: Tower) -> None:
        self.tower = tower
        self._model = model
        self._merge = int(model.config.vision_config.spatial_merge_size)

    def features(self, pictures: Recording) -> torch.Tensor:
        """The projector on pictures: (tokens, width), in reading order.

        The recorded rows are in the order of the tower's windows, and are merged in it: a matrix
        product may round a row otherwise at another place, so that ordering them first would not
        give the library's bits.
        """
        if not pictures.outputs:
            return self.tower.features(pictures.inputs)
        visual = self._model.model.visual
        merged: torch.Tensor = visual.merger(pictures.outputs[0].to(self.tower.device))
        order = _reading_order(_grids(pictures), self._merge, visual.window_size, visual.patch_size)
        return merged[order.to(merged.device)]

    def hidden(self, tokens: Tokens, pictures: Recording | None) -> torch.Tensor:
        """Last hidden states of right-padded rows: (batch, length, width)."""
        out = self._model.model.language_model(
            inputs_embeds=self._embeddings(tokens, pictures),
            position_ids=self._positions(tokens, pictures),
            attention_mask=None,
            use_cache=False,
        )
        hidden: torch.Tensor = out.last_hidden_state
        return hidden

    def answer(
        self,
        tokens: Tokens,
        pictures: Recording | None,
        *,
        max_new_tokens: int,
        end_ids: Collection[int],
    ) -> list[Generated]:
        """Answer left-padded rows, each with its most likely token at each step."""
        import torch

        with torch.no_grad():
            return generate_greedy(
                self._model,
                embeddings=self._embeddings(tokens, pictures),
                attention_mask=tokens.attention_mask.to(self.tower.device),
                position_ids=self._positions(tokens, pictures),
                max_new_tokens=max_new_tokens,
                end_ids=end_ids,
            )

    def _embeddings(self, tokens: Tokens, pictures: Recording | None) -> torch.Tensor:
        """Token embeddings with pictures in their places: (batch, length, width)."""
        ids = tokens.input_ids.to(self.tower.device)
        embeddings: torch.Tensor = self._model.get_input_embeddings()(ids)
        if pictures is None:
            return embeddings
        flat = embeddings.reshape(-1, embeddings.shape[-1])
        features = self.features(pictures).to(flat)
        return flat.index_copy(0, tokens.image_rows.to(flat.device), features).view_as(embeddings)

    def _positions(self, tokens: Tokens, pictures: Recording | None) -> torch.Tensor:
        """The positions of a batch, (3, batch, length); padding has position 0."""
        import numpy as np
        import torch

        batch, length = tokens.input_ids.shape
        mask = tokens.attention_mask.numpy()
        offsets, lengths = mask.argmax(axis=1).tolist(), mask.sum(axis=1).tolist()
        images: list[list[tuple[int, Grid]]] = [[] for _ in range(batch)]
        places, place = tokens.image_rows.tolist(), 0
        for grid in _grids(pictures) if pictures else ():
            row, start = divmod(places[place], length)
            images[row].append((start - offsets[row], grid))
            place += math.prod(grid) // self._merge**2
        out = np.zeros((3, batch, length), dtype=np.int64)
        for row, (start, count) in enumerate(zip(offsets, lengths, strict=True)):
            own = position_ids(count, tuple(images[row]), self._merge)
            out[:, row, start : start + count] = own
        return torch.from_numpy(out).to(self.tower.device)


def _grids(pictures: Recording) -> tuple[Grid, ...]:
    return tuple((t, h, w) for t, h, w in pictures.inputs["image_grid_thw"].tolist())


@lru_cache(maxsize=1024)
def _reading_order(grids: tuple[Grid, ...], merge: int, window: int, patch: int) -> torch.Tensor:
    """Where each token of images, in reading order, lies among their windows: (tokens,)."""
    import torch
    from transformers.vision_utils import get_vision_window_index

    index, _ = get_vision_window_index(torch.tensor(grids, dtype=torch.long), merge, window, patch)
    return torch.argsort(index)
