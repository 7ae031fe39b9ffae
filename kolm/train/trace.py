"""Train: the trace, one line a step, a checkpoint or a validation, and the chain of states."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from kolm import canonical, digest, paths
from kolm.digest import Digest
from kolm.errors import Refused
from kolm.train.trainer import Facts, StepFacts, Validation

if TYPE_CHECKING:
    from kolm.records.documents import (
        TraceRow,
        TraceRowValidation,
        TraceRowValidationAnswers,
    )


class _Told(TypedDict, total=False):
    """The part of a row that only some objectives have."""

    facts: Any


class Trace:
    """The trace of a run, appended to line by line.

    Args:
        path: of ``trace.jsonl``.
        before: the chain of the training that this one goes on from, or None.
    """

    def __init__(self, path: Path, before: Digest | None = None) -> None:
        self._path = path
        self._before = before
        self.states: list[Digest] = []
        self.chain = before

    def rewind(self, step: int) -> bool:
        """Keep only what happened before the checkpoint of `step` was written down.

        A line that a kill cut in two is dropped with everything after it.

        Returns:
            Whether every step up to `step` is there; if not, nothing is kept or changed.
        """
        kept: list[TraceRow] = []
        for row in _complete_rows(self._path):
            if row["step"] > step or (row["kind"] == "checkpoint" and row["step"] == step):
                break
            kept.append(row)
        if sum(row["kind"] == "step" for row in kept) != step:
            return False
        self.states, self.chain = [], self._before
        for row in kept:
            if row["kind"] == "checkpoint":
                self._link(Digest(row["state"]))
        paths.atomic_write(self._path, canonical.dump_lines(kept))
        return True

    def clear(self) -> None:
        """Start an empty trace."""
        self.states, self.chain = [], self._before
        paths.atomic_write(self._path, b"")

    def step(self, facts: StepFacts) -> None:
        """Write a step."""
        self._write(
            {
                "kind": "step",
                "step": facts.step,
                "positions": list(facts.positions),
                "label_tokens": facts.label_tokens,
                "loss": canonical.decimal(facts.loss),
                "grad_norm": canonical.decimal(facts.grad_norm),
                "learning_rate": facts.learning_rate,
                "projector_learning_rate": facts.projector_learning_rate,
                **_told(facts.facts),
            }
        )

    def validation(
        self, step: int, found: Validation, answers: TraceRowValidationAnswers | None
    ) -> TraceRowValidation:
        """Write a validation, and give it as it is written."""
        row: TraceRowValidation = {
            "kind": "validation",
            "step": step,
            "loss": canonical.decimal(found.loss),
            "label_tokens": found.label_tokens,
        }
        told = _told(found.facts)
        if "facts" in told:
            row["facts"] = told["facts"]
        if answers is not None:
            row["answers"] = answers
        self._write(row)
        return row

    def checkpoint(self, step: int, state: Digest) -> None:
        """Write a checkpoint and add its state to the chain."""
        chain = self._link(state)
        self._write({"kind": "checkpoint", "step": step, "state": state, "chain": chain})

    def _link(self, state: Digest) -> Digest:
        self.chain = state if self.chain is None else digest.chain(self.chain, state)
        self.states.append(state)
        return self.chain

    def _write(self, row: TraceRow) -> None:
        # Opened for each line: after a kill everything that was written is there.
        with self._path.open("ab") as stream:
            stream.write(canonical.dumps(row) + b"\n")


def _told(facts: Facts) -> _Told:
    if not facts:
        return {}
    stated = {
        name: int(value) if name == "preferred" else canonical.decimal(value)
        for name, value in facts.items()
    }
    return {"facts": stated}


def _complete_rows(path: Path) -> list[TraceRow]:
    """The rows of a trace up to the first line that is not whole."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            rows.append(canonical.loads_canonical(line, where=path.name))
        except Refused:
            break
    return rows
