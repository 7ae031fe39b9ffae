"""Prompt tuning (arXiv:2104.08691): learned embeddings stand in front of what the base reads.

Every row of training and every prompt that is answered begins with them. They are virtual tokens:
they have positions of their own, and the text follows them. What a bundle holds is all there is of
them, one matrix, under PEFT's name for it.

PEFT puts prompts before text alone: beside pictures it counts positions wrongly and leaves the
projector out. So a base of text alone gets PEFT's config, and any other one that PEFT refuses;
kolm's half that needs torch, `kolm/adapters/front.py`, serves both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Final, Literal, Self

from kolm import elements
from kolm.errors import Refused
from kolm.methods.method import NoExperts, Options, StoredTensor
from kolm.methods.own_names import OwnNames
from kolm.methods.projector import Projector
from kolm.roles import EMBEDDINGS, Config, Family

PEFT_TYPE = "PROMPT_TUNING"
KOLM_TYPE = "KOLM_PROMPT_TUNING"  # which PEFT does not have
TENSOR = "prompt_embeddings"
LEAST: Final = "virtual tokens whose mean norm is 2^-24 of that of the base's whole table of tokens"


def demand_rows(family: Family, config: Config) -> None:
    """Have a base look tokens up nowhere but in the table in which virtual tokens have rows.

    Args:
        family: its role table.
        config: of the base.

    Raises:
        Refused: ``E_ADAPTER_TARGETS``.
    """
    if family.own_tables(config):
        raise Refused(
            "E_ADAPTER_TARGETS",
            "every block of this base looks tokens up by itself, and virtual ones have no such row",
            where="train.method",
            found=family.model_type,
            hint="choose another method, such as lora or prefix",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt(NoExperts, OwnNames):
    """The settings of a lock; `text_alone` says that the base reads nothing else."""

    PARTS: ClassVar[tuple[str, ...]] = (TENSOR,)
    STARTS: ClassVar[Mapping[str, int]] = {}
    LEAST: ClassVar[str] = LEAST
    ANY_LAYER: ClassVar[bool] = False
    BARE_IN: ClassVar[str] = EMBEDDINGS

    kind: Literal["prompt"] = "prompt"
    virtual_tokens: int
    text_alone: bool
    targets: tuple[str, ...]
    target_expression: str

    @classmethod
    def resolve(cls, options: Options, family: Family, *, vision: bool) -> Self:
        """The module that embeds tokens; PEFT can load it where there is text alone."""
        return cls(
            virtual_tokens=options["virtual_tokens"],
            text_alone=not family.takes_pictures,
            targets=(EMBEDDINGS,),
            target_expression=family.embeddings_expression,
        )

    @property
    def front(self) -> int:
        """All of them."""
        return self.virtual_tokens

    def shapes(self, module: str, weight: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """One row for each virtual token, as wide as an embedding."""
        return {TENSOR: (self.virtual_tokens, weight[1])}

    def counts(self, factors: Mapping[str, StoredTensor], weight_norm: str | None) -> bool:
        """Whether the virtual tokens are more than rounding beside the base's."""
        return reach([factors[TENSOR]], self.virtual_tokens, weight_norm)

    def peft(self) -> dict[str, object]:
        """The keys of PEFT's PromptTuningConfig, which has no targets; else of a type like it."""
        own = {"num_virtual_tokens": self.virtual_tokens}
        if self.text_alone:
            return {**own, "peft_type": PEFT_TYPE, "target_modules": None}
        return {**own, "peft_type": KOLM_TYPE}

    def loaders(self, projector: Projector) -> tuple[str, ...]:
        """PEFT where there is text alone."""
        return ("kolm", "PEFT") if self.text_alone else ("kolm",)

    def card(self) -> str:
        """How many."""
        return f"prompt, {self.virtual_tokens} virtual tokens"


def reach(tensors: Sequence[StoredTensor], rows: int, norm: str | None) -> bool:
    """Whether the norm of tensors, in exact integers, is that of rows which count.

    Args:
        tensors: taken together.
        rows: how many.
        norm: of all the base's embeddings together, as `modules.jsonl` states it.
    """
    square = sum(n**2 for dtype, _, raw in tensors for n in elements.integers(dtype, raw))
    beside = max((Fraction(norm or "0") * elements.NEGLIGIBLE) ** 2, Fraction(1, 2**252))
    return square >= rows * beside * elements.ONE**2
