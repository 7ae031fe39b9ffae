"""IA3 (arXiv:2205.05638): a learned vector rescales what a layer gives, or what it takes.

The vectors start at 1. Those of feed-forward layers rescale the input, all others the output. As in
the paper, keys, values and what enters the last feed-forward layer are rescaled, unless others are
named; queries too where one layer makes all three.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Final, Literal, Self

from kolm import elements
from kolm.methods.method import NoExperts, NoFront, Options, StoredTensor
from kolm.methods.own_names import OwnNames
from kolm.methods.projector import Projector
from kolm.roles import Family

VECTOR = "ia3_l"
ROUNDING: Final = Fraction(1, 2**23)  # one unit in the last place of float32 at 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ia3(NoExperts, OwnNames, NoFront):
    """The settings of a lock; `feedforward` are the targets whose input is rescaled."""

    PARTS: ClassVar[tuple[str, ...]] = (VECTOR,)
    STARTS: ClassVar[Mapping[str, int]] = {VECTOR: 1}
    LEAST: ClassVar[str] = "a vector whose root mean square distance from 1 is at least 2^-23"
    ANY_LAYER: ClassVar[bool] = True

    kind: Literal["ia3"] = "ia3"
    targets: tuple[str, ...]
    feedforward: tuple[str, ...]
    target_expression: str
    feedforward_expression: str | None

    @classmethod
    def resolve(cls, options: Options, family: Family, *, vision: bool) -> Self:
        """Names of feed-forward layers count where they are targets."""
        usual = (*family.key_values, *family.fed_forward)
        targets = tuple(sorted(set(options.get("targets", usual))))
        last = options.get("feedforward", family.fed_forward)
        feedforward = tuple(name for name in targets if name in last)
        return cls(
            targets=targets,
            feedforward=feedforward,
            target_expression=family.target_expression(targets, vision=vision),
            feedforward_expression=family.target_expression(feedforward) if feedforward else None,
        )

    def shapes(self, module: str, weight: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """A number for each input of a feed-forward layer, for each output of another."""
        out_features, in_features = weight
        return {VECTOR: (1, in_features) if self._feeds_forward(module) else (out_features, 1)}

    def _feeds_forward(self, module: str) -> bool:
        expression = self.feedforward_expression
        return expression is not None and re.fullmatch(expression, module) is not None

    def counts(self, factors: Mapping[str, StoredTensor], weight_norm: str | None) -> bool:
        """The distance from a vector of ones, in exact integers; it needs no norm of the weight."""
        vector = factors[VECTOR]
        numbers = elements.integers(vector.dtype, vector.raw)
        square = sum((number - elements.ONE) ** 2 for number in numbers)
        return square >= math.prod(vector.shape) * (elements.ONE * ROUNDING) ** 2

    def peft(self) -> dict[str, object]:
        """The keys of PEFT's IA3Config; without a list PEFT would look for one of its own."""
        return {
            "fan_in_fan_out": False,
            "feedforward_modules": self.feedforward_expression or [],
            "init_ia3_weights": True,
            "peft_type": "IA3",
        }

    def loaders(self, projector: Projector) -> tuple[str, ...]:
        """Servers open LoRA alone."""
        return ("kolm", "PEFT")

    def card(self) -> str:
        """Where the input is rescaled."""
        inputs = ", ".join(self.feedforward) or "none"
        return f"ia3, input rescaled in {inputs}, output in the others"
