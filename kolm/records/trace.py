"""The rows of `trace.jsonl`: what each step of a training run did, and the chain of its states.

The shape is schemas/trace_row.schema.json and the rules are docs/format/trace.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from kolm.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """One optimizer step. Fractions are decimal strings.

    Attributes:
        positions: 0-based numbers among the train lines of snapshot.jsonl, in the order of the
            batch.
        label_tokens: how many tokens the loss was taken over.
        projector_learning_rate: None when the projector is frozen.
    """

    grad_norm: str
    label_tokens: int
    learning_rate: str
    loss: str
    positions: tuple[int, ...]
    projector_learning_rate: str | None
    step: int
    kind: str = "step"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRow:
    """The digest of the whole training state after `step` steps, and its link of the chain."""

    chain: Digest
    state: Digest
    step: int
    kind: str = "checkpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationRow:
    """A measurement on the validation side."""

    label_tokens: int
    loss: str
    step: int
    kind: str = "validation"
