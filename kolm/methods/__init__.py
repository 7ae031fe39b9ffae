"""Methods of parameter-efficient fine-tuning: one file each and one line here; torch-free.

All that is said of a method away from training is said by its file: the verifier, the bundle and
the spec know no method by name. Its options are its own fragment, ``schemas/methods/KIND``. PEFT
puts it on a model, or what `kolm.adapters` brings of its own. Rules in words: docs/format/lock.md
and bundle.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from kolm.errors import Refused
from kolm.methods.method import (
    PREFIX,
    DeltaTensor,
    Method,
    StoredTensor,
    TensorName,
    UnknownTensor,
    WholeTensor,
    delta_shapes,
    demand_a_place,
    has_experts,
    read_name,
)
from kolm.methods.projector import Projector
from kolm.records.codec import from_document, to_document
from kolm.roles import Family
from kolm.variants import Variants

METHODS: Variants[type[Method]] = Variants(
    __name__,
    {
        "bottleneck": "Bottleneck",
        "ia3": "Ia3",
        "lora": "Lora",
        "p_tuning": "PTuning",
        "prefix": "Prefix",
        "prompt": "Prompt",
    },
)
DEFAULT = "lora"

__all__ = [
    "DEFAULT",
    "METHODS",
    "PREFIX",
    "DeltaTensor",
    "Method",
    "StoredTensor",
    "TensorName",
    "UnknownTensor",
    "WholeTensor",
    "delta_shapes",
    "has_experts",
    "kind_of",
    "method_of",
    "read_name",
    "resolved_again",
]


def method_of(block: Mapping[str, object]) -> Method:
    """The method of a lock's ``train.method``.

    Raises:
        Refused: ``E_ADAPTER_METHOD``, this kolm has no such method.
    """
    return from_document(kind_of(str(block["kind"])), dict(block))


def resolved_again(
    method: Method, family: Family, *, vision: bool, projector: Projector = "full"
) -> Method:
    """The method as its own options come to it: what a lock should have said.

    Raises:
        Refused: a target that the family does not have, or a role that the method cannot adapt.
    """
    demand_a_place(type(method), vision, projector)
    return type(method).resolve(to_document(method), family, vision=vision)


def kind_of(kind: str) -> type[Method]:
    """The class of a method, by its line in the table.

    Raises:
        Refused: ``E_ADAPTER_METHOD``.
    """
    known = METHODS.get(kind)
    if known is None:
        raise Refused(
            "E_ADAPTER_METHOD",
            "this version of kolm does not know the method",
            where="spec.lock.json#/train/method/kind",
            expected=", ".join(sorted(METHODS)),
            found=kind[:80],
        )
    return known
