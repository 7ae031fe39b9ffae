"""The base's table of tensors as `modules.jsonl` tells it, to compare with the pinned root.

A checkpoint of one file whose tensors became parameters one to one, unconverted, has all its
tensor digests in the modules list, so that the root can be computed again without the base.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from kolm.format.base import BaseFile, BaseTensor
from kolm.verify.subject import Subject

if TYPE_CHECKING:
    from kolm.records.documents import ModulesRowParameter


SINGLE_FILE: Final = "model.safetensors"  # what transformers calls an unsharded checkpoint


def own_parameters(subject: Subject) -> Iterator[tuple[str, ModulesRowParameter]]:
    """The parameters that a checkpoint stores, by their whole names: all but aliases."""
    for row in subject.modules:
        for parameter in row["parameters"]:
            if "alias_of" not in parameter:
                yield f"{row['module']}.{parameter['name']}", parameter


def pinned_files(subject: Subject) -> tuple[BaseFile, ...]:
    """The files that change outputs, as the lock pins them."""
    return tuple(
        BaseFile(digest=item["digest"], name=item["name"]) for item in subject.lock["base"]["files"]
    )


def root_is_recomputed(subject: Subject) -> bool:
    """Whether the modules list alone gives the pinned base root."""
    tensors = []
    for _, parameter in own_parameters(subject):
        if len(parameter["checkpoint"]) != 1:
            return False
        tensors.append(
            BaseTensor(
                digest=parameter["before"],
                dtype=parameter["dtype"],
                file=SINGLE_FILE,
                key=parameter["checkpoint"][0],
                shape=tuple(parameter["shape"]),
                elements=parameter["elements"],
            )
        )
    return subject.rules.root_of(tensors, pinned_files(subject)) == subject.lock["base"]["root"]


def completeness(subject: Subject) -> str:
    """What can be said of the list's completeness without the base."""
    if root_is_recomputed(subject):
        return "the pinned base root is recomputed from the list, so it is complete"
    return "that the list is complete needs --base"
