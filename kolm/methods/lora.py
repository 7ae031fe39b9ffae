"""LoRA (arXiv:2106.09685): two factors of low rank beside each adapted weight.

With ``rslora`` another scale (arXiv:2312.03732), with ``dora`` a magnitude for each output as well
(arXiv:2402.09353).

With ``experts`` the experts of a layer get factors too, each its own: PEFT's ``target_parameters``,
which wraps a module of experts once for each of its parameters, the first innermost. A holds the
experts one after the other, (experts · rank) × in; B interleaves them, out × (rank · experts).
Source: peft 0.21, ``tuners/lora/layer.py``, ParamWrapper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Literal, Self

from kolm import canonical, elements
from kolm.errors import Refused
from kolm.methods.method import NoFront, Options, StoredTensor
from kolm.methods.projector import Projector
from kolm.roles import Family

ALL_LINEAR = "all-linear"
INNER, OUTER, MAGNITUDE = "lora_A.weight", "lora_B.weight", "lora_magnitude_vector"
_WRAPPED = "base_layer."  # before the parts of a parameter that another one is wrapped around


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora(NoFront):
    """The settings of a lock; the delta of a weight is ``scale · B · A``.

    Attributes:
        experts: their parameters in each module of them; None, and not in the lock, where experts
            stay frozen.
    """

    PARTS: ClassVar[tuple[str, ...]] = (
        INNER, OUTER, MAGNITUDE, _WRAPPED + INNER, _WRAPPED + OUTER,
    )  # fmt: skip
    STARTS: ClassVar[Mapping[str, int]] = {OUTER: 0, _WRAPPED + OUTER: 0}
    LEAST: ClassVar[str] = "a delta whose norm is at least 2^-24 of its weight's norm"
    ANY_LAYER: ClassVar[bool] = True

    kind: Literal["lora"] = "lora"
    rank: int
    alpha: int
    dropout: str
    rslora: bool
    dora: bool
    targets: tuple[str, ...]
    target_expression: str
    experts: tuple[str, ...] | None = None
    expert_expression: str | None = None

    @classmethod
    def resolve(cls, options: Options, family: Family, *, vision: bool) -> Self:
        """Every linear layer of the language role is a target, unless some are named; experts are
        where that is asked for."""
        experts = expression = None
        if options.get("experts"):
            _demand_plain(options)
            expression = family.expert_expression()
            experts = tuple(name.rpartition(".")[2] for name in family.experts)
        stated = options["targets"]
        leaves = family.lora_leaf_names if stated == ALL_LINEAR else stated
        targets = tuple(sorted(set(leaves)))
        return cls(
            rank=options["rank"],
            alpha=options["alpha"],
            dropout=options["dropout"],
            rslora=options["rslora"],
            dora=options["dora"],
            targets=targets,
            target_expression=family.target_expression(targets, vision=vision),
            experts=experts,
            expert_expression=expression,
        )

    def shapes(self, module: str, weight: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """A is rank × in, B is out × rank; DoRA's magnitude has a number for each output."""
        out_features, in_features = weight
        factors = {INNER: (self.rank, in_features), OUTER: (out_features, self.rank)}
        return factors | ({MAGNITUDE: (out_features,)} if self.dora else {})

    def expert_shapes(self, parameters: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
        """A is experts · rank × in, B is out × rank · experts, of each parameter."""
        found: dict[str, tuple[int, ...]] = {}
        for number, name in enumerate(reversed(self.experts or ())):
            shape = parameters.get(name, ())
            if len(shape) == 3:
                count, out_features, in_features = shape
                found[_WRAPPED * number + INNER] = (count * self.rank, in_features)
                found[_WRAPPED * number + OUTER] = (out_features, count * self.rank)
        return found

    def counts(self, factors: Mapping[str, StoredTensor], weight_norm: str | None) -> bool:
        """The product's norm times the scale against the weight's, in exact integers.

        Deltas of experts are not counted: another one has to.
        """
        if factors.keys() & {_WRAPPED + INNER, _WRAPPED + OUTER}:
            return False
        inner, outer = factors[INNER], factors[OUTER]
        if any(elements.is_zero(factor.dtype, factor.raw) for factor in (outer, inner)):
            return False
        least = self.least_square(weight_norm, outer.shape[0] * inner.shape[1])
        return elements.product_reaches(
            (outer.dtype, outer.raw), (inner.dtype, inner.raw), inner.shape[0], least
        )

    def least_square(self, weight_norm: str | None, product_elements: int) -> Fraction:
        """The square of the norm that the product of the factors must have to count.

        The norm times the scale is at least 2^-24 of the weight's, and at least one element is one
        that float32 holds without loss, 2^-126.
        """
        scale_square = Fraction(self.alpha**2, self.rank if self.rslora else self.rank**2)
        beside = (Fraction(weight_norm or "0") * elements.NEGLIGIBLE) ** 2 / scale_square
        return max(beside, Fraction(product_elements, 2**252))

    def peft(self) -> dict[str, object]:
        """The keys of PEFT's LoraConfig."""
        return {
            "bias": "none",
            "fan_in_fan_out": False,
            "init_lora_weights": True,
            "lora_alpha": self.alpha,
            "lora_dropout": self._dropout(),
            "peft_type": "LORA",
            "r": self.rank,
            "use_dora": self.dora,
            "use_rslora": self.rslora,
        }

    def receipt(self) -> dict[str, object]:
        """Under PEFT's names."""
        return {
            "kind": self.kind,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            **({"lora_experts": list(self.experts)} if self.experts else {}),
            "lora_r": self.rank,
            "lora_target_expression": self.target_expression,
            "lora_targets": list(self.targets),
            "use_dora": self.dora,
            "use_rslora": self.rslora,
        }

    def loaders(self, projector: Projector) -> tuple[str, ...]:
        """vLLM 0.32 opens neither whole projectors nor DoRA, and connectors by a switch; whether it
        opens experts in PEFT's form is not known."""
        served = {"full": (), "lora": ("vLLM with LoRA on the connector",)}
        alone = self.dora or self.experts
        return ("kolm", "PEFT", *(() if alone else served.get(projector or "", ("vLLM",))))

    def card(self) -> str:
        """Rank and scale; a variant where there is one."""
        variants = "".join(
            f", {name}" for name, on in (("rsLoRA", self.rslora), ("DoRA", self.dora)) if on
        )
        experts = ", experts too" if self.experts else ""
        return f"lora, rank {self.rank}, alpha {self.alpha}{variants}{experts}"

    def _dropout(self) -> float | int:
        where = "spec.lock.json#/train/method/dropout"
        value = canonical.parse_decimal(self.dropout, where=where)
        if not 0 <= value < 1:
            raise Refused(
                "E_ADAPTER_METHOD",
                "dropout must be at least 0 and below 1",
                where=where,
                expected="at least 0 and below 1",
                found=self.dropout[:80],
            )
        return float(value) if value else 0


def _demand_plain(options: Options) -> None:
    """Refuse what PEFT's wrapper of parameters does not do: ``E_ADAPTER_METHOD``."""
    for key, on in (("dropout", options["dropout"] != "0"), ("dora", options["dora"])):
        if on:
            raise Refused(
                "E_ADAPTER_METHOD",
                f"PEFT has no {'DoRA' if key == 'dora' else key} on experts",
                where=f"train.method.{key}",
                found=str(options[key]),
                hint=f"leave {key} out, or experts",
            )
