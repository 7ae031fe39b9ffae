"""Models: a base in memory with all that turns texts and pictures into tensors: made in one place,
for training, evaluation, rescoring and running a bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kolm import roles
from kolm.models.folder import image_token_id
from kolm.models.forward import Forward, LibraryForward
from kolm.models.generation import end_token_ids
from kolm.models.load import load_model
from kolm.models.processor import load_processor, pad_token_id
from kolm.models.qwen2_5_vl import WrittenForward
from kolm.models.resolve import read_config
from kolm.models.taps import Tower

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin

# Families whose own code is worth its lines: 0.85 of the general path's time on the embedded base.
_WRITTEN: dict[str, Callable[[PreTrainedModel, Tower], Forward]] = {"qwen2_5_vl": WrittenForward}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedBase:
    """A base in memory.

    Attributes:
        folder: where its files are.
        table: the roles of its family.
        model: in evaluation mode, every parameter frozen.
        processor: its tokenizer, image processor and template.
        forward: of the model, also once an adapter's layers are in it.
        image_token_id: the id of an image token.
        end_ids: tokens that end an answer.
        pad_token_id: the id that fills batches up.
    """

    folder: Path
    table: roles.Family
    model: PreTrainedModel
    processor: ProcessorMixin
    forward: Forward
    image_token_id: int
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
    config = read_config(folder)
    table = roles.family(config["model_type"])
    processor = load_processor(folder)
    model = load_model(folder, dtype=dtype)
    end_ids = end_token_ids(model, processor.tokenizer)
    return LoadedBase(
        folder=folder,
        table=table,
        model=model,
        processor=processor,
        forward=make_forward(model, table),
        image_token_id=image_token_id(config),
        end_ids=end_ids,
        pad_token_id=pad_token_id(processor.tokenizer, end_ids),
    )


def make_forward(model: PreTrainedModel, table: roles.Family) -> Forward:
    """The forward pass of a model: its family's own where there is one, else the library's."""
    tower = Tower(model, table.taps(model.config.to_dict()))
    return _WRITTEN.get(table.model_type, LibraryForward)(model, tower)
