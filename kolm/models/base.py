"""Models: a base in memory with all that turns texts and pictures into tensors: made in one place,
for training, evaluation, rescoring and running a bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kolm import roles
from kolm.models.forward import Forward, LibraryForward
from kolm.models.generation import end_token_ids
from kolm.models.load import load_model
from kolm.models.pictures import PictureProcessor, picture_processor
from kolm.models.processor import pad_token_id
from kolm.models.qwen2_5_vl import WrittenForward
from kolm.models.taps import Tower

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Families whose own code is worth its lines; bench/sft_step.py measures both.
WRITTEN: dict[str, Callable[[PreTrainedModel, Tower], Forward]] = {"qwen2_5_vl": WrittenForward}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedBase:
    """A base in memory.

    Attributes:
        folder: where its files are.
        model: in evaluation mode, every parameter frozen.
        pictures: its processor and what that makes of pictures.
        forward: of the model, also once an adapter's layers are in it.
        end_ids: tokens that end an answer.
        pad_token_id: the id that fills batches up.
    """

    folder: Path
    model: PreTrainedModel
    pictures: PictureProcessor
    forward: Forward
    end_ids: frozenset[int]
    pad_token_id: int


def load_base(folder: Path, *, dtype: str) -> LoadedBase:
    """Load a base.

    Args:
        folder: with config, weights, tokenizer and image processor.
        dtype: ``float32`` or ``bfloat16``.

    Raises:
        Lacking: torch or transformers is not installed.
        Refused: its family has no table, or a file of it is not what it should be.
    """
    pictures = picture_processor(folder)
    model = load_model(folder, dtype=dtype)
    tokenizer = pictures.processor.tokenizer
    end_ids = end_token_ids(model, tokenizer)
    return LoadedBase(
        folder=folder,
        model=model,
        pictures=pictures,
        forward=make_forward(model, pictures.table),
        end_ids=end_ids,
        pad_token_id=pad_token_id(tokenizer, end_ids),
    )


def make_forward(model: PreTrainedModel, table: roles.Family) -> Forward:
    """The forward pass of a model: its family's own where there is one, else the library's."""
    tower = Tower(model, table.taps(model.config.to_dict()))
    return WRITTEN.get(table.model_type, LibraryForward)(model, tower)
