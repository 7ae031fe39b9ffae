"""Models: how an answer ends, and generated rows cut where they ended."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kolm.errors import Refused

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from kolm.records.documents import PredictionsRowOutcomeFinish

STOP: Final = "stop"
LENGTH: Final = "length"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """The answer of one row.

    Attributes:
        ids: what was generated, the ending token included.
        finish: ``stop`` when the model ended the answer itself, ``length`` when it was cut.
    """

    ids: tuple[int, ...]
    finish: PredictionsRowOutcomeFinish


def end_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The ids that end an answer: the base's generation config's, else the tokenizer's.

    Raises:
        Refused: ``E_BASE_NO_END_TOKEN`` when neither names one.
    """
    named = getattr(model.generation_config, "eos_token_id", None)
    if named is None:
        named = tokenizer.eos_token_id
    if named is None:
        raise Refused(
            "E_BASE_NO_END_TOKEN",
            "the base has no end-of-sequence token",
            where="generation_config.json",
            expected="eos_token_id",
        )
    return frozenset([named] if isinstance(named, int) else named)


def read_rows(rows: Sequence[Sequence[int]], end_ids: Collection[int]) -> list[Generated]:
    """Generated rows up to the token that ended each; without one a row was cut."""
    answers = []
    for row in rows:
        end = next((i for i, token in enumerate(row) if token in end_ids), None)
        ids = tuple(row) if end is None else tuple(row[: end + 1])
        answers.append(Generated(ids=ids, finish=LENGTH if end is None else STOP))
    return answers
