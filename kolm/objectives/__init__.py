"""Objectives: what a step minimises: one file each and one line here; torch-free.

All that is said of an objective is said by its file: what a capture needs, the formula, and what a
step states of it. Encoding, training, the receipt and the verifier know no objective by name. Its
options are its own fragment, ``schemas/objectives/KIND``. Rules in words: docs/format/lock.md,
examples.md and trace.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from kolm.errors import Refused
from kolm.objectives.objective import Objective, Sides, Step, Terms
from kolm.records.codec import from_document
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
    "Sides",
    "Step",
    "Terms",
    "kind_of",
    "objective_of",
    "unknown",
]


def objective_of(block: Mapping[str, object]) -> Objective:
    """The objective of a lock's ``train.objective``.

    Raises:
        Refused: ``E_TRAIN_OBJECTIVE``, this kolm has no such objective.
    """
    return from_document(kind_of(str(block["kind"])), dict(block))


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


def kind_of(kind: str) -> type[Objective]:
    """The class of an objective, by its line in the table.

    Raises:
        Refused: ``E_TRAIN_OBJECTIVE``.
    """
    known = OBJECTIVES.get(kind)
    if known is None:
        raise unknown(kind)
    return known
