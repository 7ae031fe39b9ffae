"""Bottleneck adapters (arXiv:1902.00751): a small network with a skip behind some layers.

After both halves of a block (attention's output and the last feed-forward layer), which is the
default, it is the adapter of that paper; after the second alone the one of arXiv:2005.00247
(AdapterFusion). What a layer gives, h, becomes h + U·f(D·h + d) + u. PEFT has no
such method: kolm's half that needs torch is `kolm/adapters/bottleneck.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from kolm import elements
from kolm.methods.method import NoExperts, NoFront, Options, StoredTensor
from kolm.methods.own_names import OwnNames
from kolm.methods.projector import Projector
from kolm.roles import Family

PEFT_TYPE = "BOTTLENECK"
DOWN, UP = "lora_bottleneck_down", "lora_bottleneck_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bottleneck(NoExperts, OwnNames, NoFront):
    """The settings of a lock; `size` is the width of the small network."""

    PARTS: ClassVar[tuple[str, ...]] = (
        f"{DOWN}.weight", f"{DOWN}.bias", f"{UP}.weight", f"{UP}.bias",
    )  # fmt: skip
    STARTS: ClassVar[Mapping[str, int]] = {f"{DOWN}.bias": 0, f"{UP}.weight": 0, f"{UP}.bias": 0}
    LEAST: ClassVar[str] = "a product of both matrices whose norm is 2^-24 of the identity's"
    ANY_LAYER: ClassVar[bool] = True

    kind: Literal["bottleneck"] = "bottleneck"
    size: int
    activation: Literal["gelu", "relu"]
    targets: tuple[str, ...]
    target_expression: str

    @classmethod
    def resolve(cls, options: Options, family: Family, *, vision: bool) -> Self:
        """The options, and the expression that the family makes of the targets."""
        usual = (*family.mixed, *family.fed_forward)
        targets = tuple(sorted(set(options.get("targets", usual))))
        return cls(
            size=options["size"],
            activation=options["activation"],
            targets=targets,
            target_expression=family.target_expression(targets, vision=vision),
        )

    def shapes(self, module: str, weight: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """Down is size × out, up is out × size, each with a bias: it follows the layer."""
        out_features, _ = weight
        return {
            f"{DOWN}.weight": (self.size, out_features),
            f"{DOWN}.bias": (self.size,),
            f"{UP}.weight": (out_features, self.size),
            f"{UP}.bias": (out_features,),
        }

    def counts(self, factors: Mapping[str, StoredTensor], weight_norm: str | None) -> bool:
        """The norm of U·D, in exact integers, against that of the skip beside it."""
        up, down = factors[f"{UP}.weight"], factors[f"{DOWN}.weight"]
        if any(elements.is_zero(matrix.dtype, matrix.raw) for matrix in (up, down)):
            return False
        least = elements.NEGLIGIBLE**2 * up.shape[0]
        outer, inner = (up.dtype, up.raw), (down.dtype, down.raw)
        return elements.product_reaches(outer, inner, down.shape[0], least)

    def peft(self) -> dict[str, object]:
        """In the form of PEFT's configs, of a type that PEFT does not have."""
        return {
            "bottleneck_activation": self.activation,
            "bottleneck_size": self.size,
            "peft_type": PEFT_TYPE,
        }

    def loaders(self, projector: Projector) -> tuple[str, ...]:
        """No other software has it in this form."""
        return ("kolm",)

    def card(self) -> str:
        """The width and what is between the two matrices."""
        return f"bottleneck, size {self.size}, {self.activation}"
