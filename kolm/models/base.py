"""Models: a base in memory with all that turns texts and pictures into tensors: made in one place,
for training, evaluation, rescoring and running a bundle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kolm import roles
from kolm.extras import missing_extra
from kolm.methods.quantisation import Quantisation
from kolm.models.device import CPU
from kolm.models.forward import Forward
from kolm.models.generation import end_token_ids
from kolm.models.load import ATTENTION, load_model
from kolm.models.pictures import PictureProcessor, picture_processor
from kolm.models.processor import pad_token_id
from kolm.models.taps import Tower

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from kolm.models.four_bits import Linear4bit


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


def load_base(
    folder: Path,
    *,
    dtype: str,
    quantisation: Quantisation | None = None,
    attention: str = ATTENTION,
    device: str = CPU,
    loaded_to: str | None = None,
    spread: bool = False,
    copied: bool = False,
) -> LoadedBase:
    """Load a base.

    Args:
        folder: with config, weights, tokenizer and image processor.
        dtype: ``float32`` or ``bfloat16``.
        attention: the attention implementation.
        device: that computes.
        loaded_to: where the weights are at first, where the caller moves them; else the device.
        spread: over all devices of that kind, for answers alone.
        copied: from files that are read into memory, not mapped.
        quantisation: of its language role, or None.

    Raises:
        Lacking: torch, transformers or bitsandbytes is not installed.
        Refused: its family has no table, or a file of it is not what it should be.
    """
    pictures = picture_processor(folder)
    model = load_model(
        folder,
        dtype=dtype,
        attention=attention,
        device=loaded_to or device,
        spread=spread,
        copied=copied,
    )
    for _ in quantised(model, pictures.table, quantisation):
        pass
    tokenizer = pictures.processor.tokenizer
    end_ids = end_token_ids(model, tokenizer)
    return LoadedBase(
        folder=folder,
        model=model,
        pictures=pictures,
        forward=make_forward(model, pictures.table, device),
        end_ids=end_ids,
        pad_token_id=pad_token_id(tokenizer, end_ids),
    )


def quantised(
    model: PreTrainedModel, table: roles.Family, quantisation: Quantisation | None
) -> Iterator[tuple[str, Linear4bit]]:
    """Quantise a model's layers one after the other, where that is asked for.

    Raises:
        Lacking: bitsandbytes is not installed, or does not work here.
    """
    if quantisation is None:
        return
    try:
        from kolm.models.four_bits import quantise
    except ImportError as error:
        raise missing_extra("train", f"weights in 4 bits need {error.name}") from error
    yield from quantise(model, table, quantisation)


def make_forward(model: PreTrainedModel, table: roles.Family, device: str = CPU) -> Forward:
    """The forward pass of a model on a device."""
    taps = table.taps(model.config.to_dict())
    tower = Tower(model, taps, device, table.beside, in_a_row=table.in_a_row)
    return Forward(
        model,
        tower,
        prefix_attention=table.prefix_attention,
        branches=table.branches and _sees_everything(model),
    )


def _sees_everything(model: PreTrainedModel) -> bool:
    """Whether no layer looks back less far than a row is long: a mask of ours would undo that."""
    text = model.config.get_text_config()
    kinds = getattr(text, "layer_types", None)
    if kinds is None:
        return getattr(text, "sliding_window", None) is None
    return set(kinds) == {"full_attention"}
