"""Pretraining: what a base can do, on scenes that no step draws."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

from kolm.models.load import load_model
from tools.pretrain import tokenizer as words
from tools.pretrain.architecture import TOKEN_PIXELS
from tools.pretrain.batches import Writer, cut_patches
from tools.pretrain.questions import Question, ask
from tools.pretrain.scenes import draw_scene

_HELD_OUT_SCENES = 2**40  # seed of the first; far beyond any step's


@torch.inference_mode()
def measure_skills(folder: Path, scenes: int) -> dict[str, tuple[int, int]]:
    """Held-out questions answered right, by skill: {skill: (right, asked)}.

    Each question is asked alone about its picture, and every token of its answer must be the
    most likely one, which is what greedy decoding would print.
    """
    from tokenizers import Tokenizer

    model = load_model(folder)
    writer = Writer(Tokenizer.from_file(str(folder / "tokenizer.json")))
    tally: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for number in range(scenes):
        rng = random.Random(_HELD_OUT_SCENES + number)
        scene, image = draw_scene(rng, 64)
        for question in ask(rng, scene, 4):
            cell = tally[question.skill]
            cell[0] += _answers_right(model, writer, image, question)
            cell[1] += 1
    return {skill: (right, asked) for skill, (right, asked) in sorted(tally.items())}


def _answers_right(model: Any, writer: Writer, image: Any, question: Question) -> bool:
    cells = image.width // TOKEN_PIXELS
    special = writer.special
    grid = (1, 2 * cells, 2 * cells)
    prompt = [special[words.USER], *writer.image(cells * cells), *writer.text(question.text)]
    prompt += [special[words.END], special[words.ASSISTANT]]
    answer = [*writer.text(question.answer), special[words.END]]
    ids = torch.tensor([prompt + answer])
    marks = torch.zeros_like(ids)
    marks[:, 2 : 2 + cells * cells] = 1
    logits = model(
        input_ids=ids,
        mm_token_type_ids=marks,
        pixel_values=cut_patches([image]),
        image_grid_thw=torch.tensor([grid]),
    ).logits
    found = logits[0, len(prompt) - 1 : -1].argmax(-1)
    return bool(found.tolist() == answer)
