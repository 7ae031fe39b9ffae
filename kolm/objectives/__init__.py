"""Objectives: what a step minimises: one file each and one line here; torch-free.

All that is said of an objective is said by its file: what a capture needs, the formula, and what a
step states of it. Encoding, training, the receipt and the verifier know no objective by name. Its
options are its own fragment, ``schemas/objectives/KIND``. Rules in words: docs/format/lock.md,
examples.md and trace.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from kolm import schema
from kolm.errors import Refused
from kolm.objectives.objective import Objective, Reference, Sides, Step, Terms
from kolm.records.codec import from_document, to_document
from kolm.variants import Variants

OBJECTIVES: Variants[type[Objective]] = Variants(
    __name__,
    {
        "ddpo": "Ddpo",
        "dpo": "Dpo",
        "ipo": "Ipo",
        "kto": "Kto",
        "orpo": "Orpo",
        "sft": "Sft",
        "simpo": "Simpo",
    },
)
DEFAULT = "sft"

__all__ = [
    "DEFAULT",
    "OBJECTIVES",
    "Objective",
    "Reference",
    "Sides",
    "Step",
    "Terms",
    "objective_of",
    "resolve",
    "unknown",
]


def objective_of(block: Mapping[str, object]) -> Objective:
    """The objective of a lock's ``train.objective``.

    Raises:
        Refused: ``E_TRAIN_OBJECTIVE``, this kolm has no such objective.
    """
    return from_document(_kind_of(str(block["kind"])), dict(block))


def resolve(options: Mapping[str, object]) -> dict[str, object]:
    """A lock's ``train.objective`` from a spec's, whose defaults are those of the fragment.

    Raises:
        Refused: ``E_TRAIN_OBJECTIVE``, this kolm has no such objective.
    """
    kind = str(options.get("kind", DEFAULT))
    known = _kind_of(kind)
    stated = schema.defaults(schema.load(f"objectives/{kind}")["$defs"]["spec"])
    return to_document(from_document(known, {**stated, "kind": kind, **options}))


def unknown(kind: str) -> Refused:
    """The error of an objective that is not in the table, with the reason where there is one."""
    from kolm.objectives.refused import REFUSED

    refused = REFUSED.get(kind)
    return Refused(
        "E_TRAIN_OBJECTIVE",
        f"kolm does not train with {kind}: {refused.reason}"
        if refused
        else "this version of kolm does not know the objective",
        where="train.objective",
        expected=", ".join(sorted(OBJECTIVES)),
        found=kind[:80],
        hint=refused.instead if refused else "",
    )


def _kind_of(kind: str) -> type[Objective]:
    known = OBJECTIVES.get(kind)
    if known is None:
        raise unknown(kind)
    return known
