"""Methods: what each says of itself without torch, and how PEFT names the tensors of an adapter.

``base_model.model.<module>.<part>`` is a tensor of a delta, for example with the part
``lora_A.weight``; ``base_model.model.<module>.<parameter>`` is a whole parameter saved through
`modules_to_save`. A prompt is saved under its part alone. Anything else is unknown. The module must
be one that `modules.jsonl` lists.
Source: peft 0.21, ``utils/save_and_load.py``.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, Self

from kolm.errors import Refused
from kolm.methods.projector import Projector
from kolm.roles import Family

PREFIX = "base_model.model."

Options = Mapping[str, Any]  # a method's, of its own schema, defaults filled in


class StoredTensor(NamedTuple):
    """One tensor of an adapter file."""

    dtype: str
    shape: tuple[int, ...]
    raw: bytes | memoryview


class Method(Protocol):
    """A method with the settings of a lock's ``train.method``, which are its fields.

    Attributes:
        PARTS: every name that a tensor of a delta may have behind its module's.
        STARTS: the parts whose elements all have a known value before training.
        LEAST: the smallest delta that counts, in words.
        ANY_LAYER: any linear layer can have its delta; else those alone that it names, in the
            language role.
        BARE_IN: last part of the name of the one module whose delta is saved under the names of its
            parts alone; empty where these follow the module's name.
        kind: its line in the table.
        targets: leaf names in the language role, sorted.
        target_expression: full-matches exactly the linear layers that get a delta.
        experts: parameters of the modules of experts that get deltas, in the modules' order; None
            where they stay frozen.
        expert_expression: full-matches exactly those modules; None where there are none.
        front: how many virtual tokens stand in front of each row. They are the delta of the module
            that embeds tokens, which is then the target; other methods have linear layers.
    """

    PARTS: ClassVar[tuple[str, ...]]
    STARTS: ClassVar[Mapping[str, int]]
    LEAST: ClassVar[str]
    ANY_LAYER: ClassVar[bool]
    BARE_IN: ClassVar[str]

    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def targets(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def target_expression(self) -> str: ...  # noqa: D102
    @property
    def experts(self) -> tuple[str, ...] | None: ...  # noqa: D102
    @property
    def expert_expression(self) -> str | None: ...  # noqa: D102
    @property
    def front(self) -> int: ...  # noqa: D102

    @classmethod
    def resolve(cls, options: Options, family: Family, *, vision: bool) -> Self:
        """What a spec's options, or a lock's block again, come to on a family's role table.

        Args:
            options: of the method's schema, defaults filled in.
            family: the base's.
            vision: the vision role is adapted as well.

        Raises:
            Refused: a target that the family does not have.
        """

    def shapes(self, module: str, weight: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """The tensors that the delta of a target has, by part.

        Args:
            module: name of the layer.
            weight: shape of its weight: (out, in), or (tokens, width) of what embeds them.
        """

    def expert_shapes(self, parameters: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
        """The tensors that the deltas of a module of experts have, by part.

        Args:
            parameters: shape of each parameter of the module, (expert, out, in).
        """

    def counts(self, factors: Mapping[str, StoredTensor], weight_norm: str | None) -> bool:
        """Whether the delta of a module changes it by more than rounding does.

        Args:
            factors: the tensors that `shapes` names; their elements are finite.
            weight_norm: of the module's weight, as `modules.jsonl` states it.
        """

    def peft(self) -> dict[str, object]:
        """The keys of adapter_config.json that this method adds to those of every method.

        Raises:
            Refused: ``E_ADAPTER_METHOD``, a setting that PEFT does not take.
        """

    def receipt(self) -> Any:
        """The receipt's ``vlm_train.method``, of the method's schema."""

    def loaders(self, projector: Projector) -> tuple[str, ...]:
        """The software that is known to open such an adapter with all that is in it.

        Args:
            projector: what was trained of the projector.
        """

    def card(self) -> str:
        """The method and its settings for the model card, in a few words."""


def demand_a_place(known: type[Method], vision: bool, projector: Projector) -> None:
    """Refuse a lock that adapts a role which the method cannot adapt: ``E_ADAPTER_ROLE``."""
    if known.ANY_LAYER or not (vision or projector == "lora"):
        return
    raise Refused(
        "E_ADAPTER_ROLE",
        "this method has a place in the language role alone",
        where="train.freeze.vision" if vision else "train.projector",
        expected="true" if vision else "full or frozen",
        found="false" if vision else str(projector),
    )


class NoFront:
    """Of a method whose delta stands in layers, and is named by them."""

    __slots__ = ()
    BARE_IN: ClassVar[str] = ""

    @property
    def front(self) -> int:
        """None."""
        return 0


class NoExperts:
    """Of a method that adapts linear layers alone."""

    __slots__ = ()

    @property
    def experts(self) -> None:
        """None."""

    @property
    def expert_expression(self) -> None:
        """None."""

    def expert_shapes(self, parameters: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
        """None."""
        return {}


def has_experts(method: Method, module: str) -> bool:
    """Whether a module is one of those whose experts get deltas."""
    expression = method.expert_expression
    return expression is not None and re.fullmatch(expression, module) is not None


def delta_shapes(
    method: Method, module: str, parameters: Mapping[str, Sequence[int]]
) -> dict[str, tuple[int, ...]]:
    """The tensors that the delta of a module has, by part: none where it can have no delta.

    Args:
        method: of the lock.
        module: its name.
        parameters: shape of each of its parameters.
    """
    if has_experts(method, module):
        return method.expert_shapes(parameters)
    weight = parameters.get("weight", ())
    return method.shapes(module, weight) if len(weight) == 2 else {}


class DeltaTensor(NamedTuple):
    """One tensor of a module's delta."""

    tensor: str
    module: str
    part: str


class WholeTensor(NamedTuple):
    """A whole parameter that takes the place of the base's."""

    tensor: str
    module: str
    parameter: str


class UnknownTensor(NamedTuple):
    """A name outside the grammar, or in a module that is not listed."""

    tensor: str


TensorName = DeltaTensor | WholeTensor | UnknownTensor


def read_name(
    tensor: str, method: Method | type[Method], parameters: Mapping[str, frozenset[str]]
) -> TensorName:
    """What a tensor's name says.

    Args:
        tensor: its name in the adapter file.
        method: of the lock.
        parameters: for each module of the base the names of its parameters.
    """
    if method.BARE_IN and tensor in method.PARTS:
        places = [name for name in parameters if name.rpartition(".")[2] == method.BARE_IN]
        if len(places) == 1:
            return DeltaTensor(tensor=tensor, module=places[0], part=tensor)
    rest = tensor.removeprefix(PREFIX)
    if rest == tensor:
        return UnknownTensor(tensor=tensor)
    for part in () if method.BARE_IN else method.PARTS:
        module = rest.removesuffix(f".{part}")
        if module != rest and module in parameters:
            return DeltaTensor(tensor=tensor, module=module, part=part)
    module, _, parameter = rest.rpartition(".")
    if parameter in parameters.get(module, frozenset()):
        return WholeTensor(tensor=tensor, module=module, parameter=parameter)
    return UnknownTensor(tensor=tensor)
