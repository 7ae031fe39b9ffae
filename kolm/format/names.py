"""The format: the names of a bundle's members, as the table in docs/format/bundle.md lists them.

A run folder holds most of them as files of the same names; `kolm.run.names` adds its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from kolm.records.documents import (
        Capture,
        Evaluation,
        ExamplesRow,
        Lock,
        ModulesRow,
        PredictionsRow,
        Receipt,
        Snapshot,
        SnapshotRow,
        TraceRow,
    )

D_co = TypeVar("D_co", covariant=True)


class Name(str, Generic[D_co]):
    """A name that for the type checker carries the type of the document, or of its rows."""

    __slots__ = ()


RECEIPT: Final[Name[Receipt]] = Name("receipt.json")
WEIGHTS: Final = "adapter_model.safetensors"
CONFIG: Final = "adapter_config.json"
MODULES: Final[Name[ModulesRow]] = Name("modules.jsonl")
LOCK: Final[Name[Lock]] = Name("spec.lock.json")
SNAPSHOT: Final[Name[Snapshot]] = Name("snapshot.json")
LINES: Final[Name[SnapshotRow]] = Name("snapshot.jsonl")
CASES: Final[Name[Capture]] = Name("evalcases.jsonl")
EXAMPLES: Final[Name[ExamplesRow]] = Name("examples.jsonl")
TRACE: Final[Name[TraceRow]] = Name("trace.jsonl")
PREDICTIONS: Final[Name[PredictionsRow]] = Name("predictions.jsonl")
EVALUATION: Final[Name[Evaluation]] = Name("evaluation.json")
CARD: Final = "README.md"
EVAL_IMAGE: Final = "evalimage-"


def eval_image(file: str) -> str:
    """The member that a picture of the eval side is published as, by the digest of its file."""
    return EVAL_IMAGE + file.removeprefix("sha256:")
