"""Format: the documents of a run's checkpoints are held against everything that they follow from.

The trace's validation losses fix the state of early stopping; how often a tensor can have been
updated follows from the schedule; what the last document counts is what `modules.jsonl` says.
Rules C3 and C9 to C11 of docs/format/checkpoint.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from kolm.errors import Refused
from kolm.format.schedule import Schedule

if TYPE_CHECKING:
    from kolm.records.documents import Checkpoint, TraceRow


class Learned(NamedTuple):
    """A tensor of the adapter, as `modules.jsonl` tells of it.

    Attributes:
        projector: it is of the projector, and so learns only while that does.
        gradient_steps: in how many steps of the run it had a gradient.
    """

    projector: bool
    gradient_steps: int


class _Counts(NamedTuple):
    """How far a run has come: its step, and what has happened to each tensor."""

    step: int
    updates: Mapping[str, int]
    gradient_steps: Mapping[str, int]


def documents_follow(
    read: Callable[[str], Checkpoint | None],
    trace: Iterable[TraceRow],
    schedule: Schedule,
    learned: Mapping[str, Learned],
) -> Iterator[Refused]:
    """Yield what of the checkpoints' documents does not follow; it ends at a missing one.

    Args:
        read: a document by its `document_name`; None for one that is not there or does not fit its
            schema. Asked for one at a time, since they may come in thousands.
        trace: its rows.
        schedule: of the lock.
        learned: the adapter's tensors by name.
    """
    patience, before, place = schedule.new_patience(), None, ""
    for row in trace:
        if row["kind"] == "validation" and patience:
            told = schedule.decisive(row)
            if told is not None:  # V08 says where it is missing
                patience.tell(told)
        if row["kind"] != "checkpoint":
            continue
        place = document_name(row["step"])
        document = read(place)
        if document is None:
            return
        stopping = patience.to_document() if patience else None
        yield from _same(f"{place}#/step", "C3", row["step"], document["step"])
        yield from _same(f"{place}#/patience", "C9", stopping, document["patience"])
        now = _Counts(row["step"], document["updates"], document["gradient_steps"])
        if not now.updates.keys() == now.gradient_steps.keys() == learned.keys():
            yield _refused(place, "the counts are not those of the adapter's tensors (C10)")
            return
        if before is None:
            before = _initial(now, schedule)
        yield from _counts_grow(place, before, now, schedule, learned)
        before = now
    if before is not None:
        for name, tensor in learned.items():
            found = before.gradient_steps[name]
            yield from _same(f"{place}#/gradient_steps/{name}", "C11", tensor.gradient_steps, found)


def _initial(found: _Counts, schedule: Schedule) -> _Counts:
    """Nothing has happened yet, but for the updates of an earlier training."""
    nothing = dict.fromkeys(found.updates, 0)
    return _Counts(0, found.updates if schedule.earlier_chain else nothing, nothing)


def document_name(step: int) -> str:
    """The member that holds a checkpoint's document."""
    return f"checkpoint-{step:08d}.json"


def _counts_grow(
    place: str,
    before: _Counts,
    now: _Counts,
    schedule: Schedule,
    learned: Mapping[str, Learned],
) -> Iterator[Refused]:
    """Between two checkpoints a tensor is updated at most once a step, and learns no more often."""
    for name, tensor in learned.items():
        end = schedule.projector_steps if tensor.projector else schedule.steps
        most = min(now.step, end) - min(before.step, end)
        updates = now.updates[name] - before.updates[name]
        gradients = now.gradient_steps[name] - before.gradient_steps[name]
        if not 0 <= gradients <= updates <= most:
            yield _refused(
                f"{place}: {name}",
                "a tensor has more updates than the steps since the last checkpoint allow (C10)",
                f"at most {most} updates, and no more steps with a gradient than updates",
                f"{updates} updates, {gradients} steps with a gradient",
            )


def _same(place: str, rule: str, expected: object, found: object) -> Iterator[Refused]:
    if expected != found:
        message = f"the checkpoint differs from what follows from trace and modules ({rule})"
        yield _refused(place, message, str(expected), str(found))


def _refused(place: str, message: str, expected: str = "", found: str = "") -> Refused:
    return Refused("E_BUNDLE_REFERENCE", message, where=place, expected=expected, found=found)
