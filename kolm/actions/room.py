"""The compositions: how much a compile will write, from its lock and what its base holds.

A state has the trained numbers and two moments of each; a training keeps one a boundary, and one
more between two. Kept vision features are not counted: they have a budget, and are given up first.
"""

from __future__ import annotations

import math
import re
from typing import Final, NamedTuple

from kolm import roles
from kolm.actions.ahead import Ahead
from kolm.bundle.base_root import BaseFacts
from kolm.capture.store import CaptureStore
from kolm.methods import method_of
from kolm.methods.projector import in_projector
from kolm.records.documents import Lock

_FLOAT_BYTES: Final = 4  # of a trained number and of a moment, whatever the base's
_MOMENTS: Final = 2
_ANSWER_BYTES: Final = 1024  # of a case's row of predictions, about
_EXAMPLE_BYTES: Final = 80  # of an example's row, about
OTHER_BYTES: Final = 64 << 20  # reports, logs, and files that are replaced whole


class Room(NamedTuple):
    """What a compile will write, in bytes."""

    states: int
    state_bytes: int
    results_bytes: int
    bundle_bytes: int

    @property
    def total_bytes(self) -> int:
        """All of it, and a little more."""
        written = self.states * self.state_bytes + self.results_bytes + self.bundle_bytes
        return written + OTHER_BYTES

    def __str__(self) -> str:
        states = f"{self.states} states of {mebibytes(self.state_bytes)}, " if self.states else ""
        results, bundle = map(mebibytes, (self.results_bytes, self.bundle_bytes))
        return f"{states}results {results}, bundle {bundle}"


def mebibytes(size: int) -> str:
    """A size as people read it, rounded up."""
    return f"{-(-size >> 20):,} MiB"


def room_of(ahead: Ahead) -> Room:
    """What a compile will write; less where its training is done already."""
    lock, snapshot = ahead.lock, ahead.prepared.snapshot
    train, publish = lock["train"], lock["publish"]
    numbers = trained_numbers(lock, ahead.prepared.facts)
    moment_bytes = _FLOAT_BYTES if train["optimizer"] == "adamw" else 1
    adapter, state = numbers * _FLOAT_BYTES, numbers * (_FLOAT_BYTES + _MOMENTS * moment_bytes)
    sides = snapshot.header["splits"]
    texts = sum(map(len, snapshot.files().values()))
    rows = _ANSWER_BYTES * sides["eval"]["captures"] + _EXAMPLE_BYTES * len(snapshot.rows)
    trained = "train" in ahead.known
    states = train["segments"] + 1
    bundle = adapter + texts + rows
    if publish["checkpoints"]:
        bundle += states * state
    if publish["images"]:
        bundle += _image_bytes(ahead)
    return Room(
        states=0 if trained else states + 1,
        state_bytes=state,
        results_bytes=rows + 2 * texts + (0 if trained else adapter),
        bundle_bytes=bundle,
    )


def trained_numbers(lock: Lock, facts: BaseFacts) -> int:
    """How many numbers a training changes, by names and shapes of the base's matrices.

    Experts that a checkpoint holds in one tensor are not counted: it is a little less then.
    """
    train = lock["train"]
    family, method = roles.family(lock["base"]["family"]), method_of(train["method"])
    total = 0
    for tensor in facts.tensors:
        name = family.parameter_of(tensor.key)
        module, _, leaf = name.rpartition(".")
        matrix = leaf == "weight" and len(tensor.shape) == 2
        projector = in_projector(module, family) and name not in family.bare
        if projector and train["projector"] == "full":
            total += tensor.elements
        elif matrix and (
            (projector and train["projector"] == "lora")
            or re.fullmatch(method.target_expression, module) is not None
        ):
            total += sum(map(math.prod, method.shapes(module, tensor.shape).values()))
    return total


def _image_bytes(ahead: Ahead) -> int:
    eval_rows = (row for row in ahead.prepared.snapshot.rows if row.split == "eval")
    shown = {file for row in eval_rows for file, *_ in row.images}
    with CaptureStore.open_to_read(ahead.prepared.store_folder) as store:
        records = store.image_records()
    return sum(records[file].bytes for file in shown if file in records)
