"""Prefix tuning (arXiv:2101.00190) in all layers, as P-tuning v2 (arXiv:2110.07602) has it.

Where the language role attends, every query sees learned keys and values beside those of the text.
They have no position, are in no cache, and have a softmax of their own, with which they begin as no
change (zero-init attention, arXiv:2303.16199): what attention gives, h, becomes
h + softmax(s · q·Kᵀ)·V, for each head, with s the scale of its attention. V begins as zeros.

PEFT's own prefix tuning stops on positions of three axes (M-RoPE): kolm's half that needs torch is
`kolm/adapters/prefix.py`. Both tensors belong to the layer that makes values, and have its width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Literal, Self

from kolm import elements
from kolm.errors import Refused
from kolm.methods.method import NoExperts, NoFront, Options, StoredTensor
from kolm.methods.own_names import OwnNames
from kolm.methods.projector import Projector
from kolm.roles import Family

PEFT_TYPE = "KOLM_PREFIX"  # PEFT has a PREFIX_TUNING, which is another
TARGET = "v_proj"
KEYS, VALUES = "lora_prefix_keys", "lora_prefix_values"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix(NoExperts, OwnNames, NoFront):
    """The settings of a lock; `virtual_tokens` is how many keys and values a layer gets."""

    PARTS: ClassVar[tuple[str, ...]] = (KEYS, VALUES)
    STARTS: ClassVar[Mapping[str, int]] = {VALUES: 0}
    LEAST: ClassVar[str] = "values whose mean norm is at least 2^-24 of their layer's weight's"
    ANY_LAYER: ClassVar[bool] = False

    kind: Literal["prefix"] = "prefix"
    virtual_tokens: int
    targets: tuple[str, ...]
    target_expression: str

    @classmethod
    def resolve(cls, options: Options, family: Family, *, vision: bool) -> Self:
        """Every layer of the language role that makes values; nothing of it can be chosen.

        Raises:
            Refused: ``E_ADAPTER_TARGETS``, a family that makes values with others in one layer.
        """
        if TARGET not in family.language.leaves:
            raise Refused(
                "E_ADAPTER_TARGETS",
                "a prefix stands beside the layer that makes values alone, and there is none",
                where="train.method.kind",
                expected=TARGET,
                found=", ".join(family.key_values),
                hint=f"choose another method for {family.model_type}",
            )
        return cls(
            virtual_tokens=options["virtual_tokens"],
            targets=(TARGET,),
            target_expression=family.target_expression((TARGET,)),
        )

    def shapes(self, module: str, weight: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """Keys and values are virtual_tokens × out, heads one after the other."""
        return dict.fromkeys(self.PARTS, (self.virtual_tokens, weight[0]))

    def counts(self, factors: Mapping[str, StoredTensor], weight_norm: str | None) -> bool:
        """The values' norm, in exact integers, against that of what makes values.

        A layer gives values of about its weight's norm where what it reads has about 1 in each
        number. Keys are left out: under them the values are averaged, which makes them no larger.
        """
        values = factors[VALUES]
        square = sum(number**2 for number in elements.integers(values.dtype, values.raw))
        tokens, width = values.shape
        beside = (Fraction(weight_norm or "0") * elements.NEGLIGIBLE) ** 2
        least = tokens * max(beside, Fraction(width, 2**252))
        return square >= least * elements.ONE**2

    def peft(self) -> dict[str, object]:
        """In the form of PEFT's configs, of a type that PEFT does not have."""
        return {"peft_type": PEFT_TYPE, "prefix_virtual_tokens": self.virtual_tokens}

    def loaders(self, projector: Projector) -> tuple[str, ...]:
        """No other software has it in this form."""
        return ("kolm",)

    def card(self) -> str:
        """How many keys and values."""
        return f"prefix, {self.virtual_tokens} virtual tokens in each layer"
