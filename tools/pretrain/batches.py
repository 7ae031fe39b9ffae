"""Pretraining: scenes and questions as tensors."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tools.pretrain import architecture
from tools.pretrain import tokenizer as words
from tools.pretrain.architecture import TOKEN_PIXELS
from tools.pretrain.positions import position_ids
from tools.pretrain.questions import Question, ask
from tools.pretrain.scenes import draw_easy_scene, draw_scene, label_cells

_SCENES = 24  # a batch, at a side of 64 pixels; larger pictures come in smaller batches
_SIDES = {64: 74, 32: 5, 48: 6, 80: 6, 96: 5, 128: 3, 224: 1}  # side in pixels: share in percent
_QUESTIONS = 8  # of one scene: one pass of the tower pays for all of them
_EASY_SIDE, _EASY_SCENES, _EASY_QUESTIONS = 64, 48, 3
_TALKS = 0.15  # share of scenes whose questions follow each other in one conversation
_SYSTEM_PROMPTS = ("Answer with one word.", "You are a helpful assistant.", "Answer briefly.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Questions about pictures of one size, right-padded.

    Shapes: patches (scenes x patches, 384), grids (scenes, 3), ids (scenes, length), positions
    (3, scenes, length), visible (scenes, 1, length, length): which token may attend to which;
    `rows` and `columns` are the places of the label tokens; cells (scenes x image tokens, 2): the
    shape and the colour that each image token shows, -100 where nobody says.
    """

    patches: torch.Tensor
    grids: torch.Tensor
    ids: torch.Tensor
    positions: torch.Tensor
    visible: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor
    cells: torch.Tensor
    questions: int


def cut_patches(images: list[Any]) -> torch.Tensor:
    """Square RGB images of one size as the tower's patches: (images x patches, 3 x 2 x 8 x 8).

    The order and the scaling are those of transformers' Qwen2-VL image processor.
    """
    pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images])).float()
    count, side = pixels.shape[0], pixels.shape[1]
    cells, patch = side // TOKEN_PIXELS, architecture.PATCH_PIXELS
    scaled = (pixels.permute(0, 3, 1, 2) / 255 - architecture.IMAGE_MEAN) / architecture.IMAGE_STD
    frames = scaled.unsqueeze(1).expand(-1, 2, -1, -1, -1)
    split = frames.reshape(count, 1, 2, 3, cells, 2, patch, cells, 2, patch)
    return split.permute(0, 1, 4, 7, 5, 8, 3, 2, 6, 9).reshape(-1, 3 * 2 * patch * patch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Questions about one picture as tokens.

    Attributes:
        ids: the picture, then every question with its answer.
        labels: positions of the answers' tokens.
        start: position of the picture's first token.
        turns: where each part begins that must not see the parts between the picture and it; the
            first is the end of what all share.
    """

    ids: list[int]
    labels: list[int]
    start: int
    turns: list[int]


class Writer:
    """Writes conversations as token ids, caching the texts it has seen."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._ids: dict[str, list[int]] = {}
        self.special = {name: tokenizer.token_to_id(name) for name in words.SPECIAL}

    def text(self, text: str) -> list[int]:
        """The ids of a text."""
        if text not in self._ids:
            self._ids[text] = self._tokenizer.encode(text).ids
        return self._ids[text]

    def image(self, tokens: int) -> list[int]:
        """The ids of a picture."""
        special = self.special
        inner = [special[words.IMAGE]] * tokens
        return [special[words.VISION_START], *inner, special[words.VISION_END]]

    def ask_all(self, rng: random.Random, questions: list[Question], image_tokens: int) -> Exchange:
        """Questions about one picture, each answered by itself or all in one conversation."""
        special, end = self.special, self.special[words.END]
        ids: list[int] = []
        if rng.random() < 0.15:
            ids += [special[words.SYSTEM], *self.text(rng.choice(_SYSTEM_PROMPTS)), end]
        ids.append(special[words.USER])
        start = len(ids) + 1
        ids += self.image(image_tokens)
        shared = len(ids)
        labels: list[int] = []
        turns: list[int] = []
        talk = rng.random() < _TALKS
        for number, question in enumerate(questions):
            turns.append(len(ids))
            if talk and number:
                ids.append(special[words.USER])
            text = question.text
            if rng.random() < 0.25:
                text = text[0].upper() + text[1:]
            ids += [*self.text(text), end, special[words.ASSISTANT]]
            answer = [*self.text(question.answer), end]
            labels += range(len(ids), len(ids) + len(answer))
            ids += answer
        return Exchange(
            ids=ids, labels=labels, start=start, turns=[shared] if talk else [shared, *turns[1:]]
        )


def draw_batch(rng: random.Random, writer: Writer, *, easy: bool) -> Batch:
    """Draw scenes of one size and write questions about each; easy ones show one large object."""
    if easy:
        side, count, asked = _EASY_SIDE, _EASY_SCENES, _EASY_QUESTIONS
    else:
        side = rng.choices(list(_SIDES), list(_SIDES.values()))[0]
        count, asked = max(6, min(_SCENES, _SCENES * 64 * 64 // (side * side))), _QUESTIONS
    images, exchanges = [], []
    shown: list[tuple[int, int]] = []
    cells = side // TOKEN_PIXELS
    for _ in range(count):
        scene, image = (draw_easy_scene if easy else draw_scene)(rng, side)
        images.append(image)
        shown += label_cells(scene, TOKEN_PIXELS) or [(-100, -100)] * (cells * cells)
        questions = ask(rng, scene, asked, easy=easy)
        exchanges.append(writer.ask_all(rng, questions, cells * cells))
    grid = (1, 2 * cells, 2 * cells)
    length = max(len(exchange.ids) for exchange in exchanges)
    ids = torch.full((count, length), writer.special[words.PAD])
    positions = np.empty((3, count, length), dtype=np.int64)
    visible = np.broadcast_to(np.tri(length, dtype=bool), (count, 1, length, length)).copy()
    for row, exchange in enumerate(exchanges):
        ids[row, : len(exchange.ids)] = torch.tensor(exchange.ids)
        positions[:, row] = position_ids(length, ((exchange.start, grid),), 2)
        shared = exchange.turns[0]
        for begin, until in itertools.pairwise([*exchange.turns, length]):
            visible[row, 0, begin:until, shared:begin] = False
            positions[:, row, begin:until] -= begin - shared
    places = [(row, column) for row, e in enumerate(exchanges) for column in e.labels]
    where = torch.tensor(places).T
    return Batch(
        patches=cut_patches(images),
        grids=torch.tensor([grid] * count),
        ids=ids,
        positions=torch.from_numpy(positions),
        visible=torch.from_numpy(visible),
        rows=where[0],
        columns=where[1],
        cells=torch.tensor(shown),
        questions=count * asked,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Pictures of shapes and what each of their cells shows.

    Shapes: patches (scenes x patches, 384), a grid a scene, labels (scenes x image tokens, 2).
    """

    patches: torch.Tensor
    grids: list[tuple[int, int, int]]
    labels: torch.Tensor


def draw_cells(rng: random.Random) -> Cells:
    """Draw scenes of shapes, half of them easy, for the tower to learn from alone."""
    images: list[Any] = []
    labels: list[tuple[int, int]] = []
    while len(images) < _EASY_SCENES:
        draw = draw_easy_scene if rng.random() < 0.5 else draw_scene
        scene, image = draw(rng, _EASY_SIDE)
        shown = label_cells(scene, TOKEN_PIXELS)
        if shown is not None:
            images.append(image)
            labels += shown
    side = _EASY_SIDE // architecture.PATCH_PIXELS
    return Cells(
        patches=cut_patches(images),
        grids=[(1, side, side)] * len(images),
        labels=torch.tensor(labels),
    )
