"""Format: the trace is held against everything that it follows from.

Lock and examples.jsonl fix which rows there are, which captures each step reads, over how many
labels, at which rates, and, with the validation losses that the trace states, when a run stops
early. What is left to the publisher's word are losses, gradient norms, states and what an objective
states beside the loss, as far as these can be together. Rules S1 to S12 of docs/format/trace.md.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, NamedTuple

from kolm import digest
from kolm.errors import Refused
from kolm.format.names import TRACE
from kolm.format.order import Reading
from kolm.format.schedule import Happening, Schedule
from kolm.methods import method_of
from kolm.objectives import Objective, Step, objective_of

if TYPE_CHECKING:
    from kolm.records.documents import (
        LockTrain,
        TraceRow,
        TraceRowStep,
        TraceRowValidation,
    )


class _Learning(NamedTuple):
    """What of a lock says which facts a row has, and which of them can be."""

    objective: Objective
    precision: str
    begins: bool  # as the base: from no earlier training, and with no virtual tokens in front


def trace_follows(
    trace: "Iterable[TraceRow]", reading: Reading, training: "LockTrain"
) -> Iterator[Refused]:
    """Yield what of a trace does not follow; it ends where the rows no longer correspond.

    The work is bounded by the rows: a step's captures are derived only as far as the row states
    them.

    Args:
        trace: its rows, each fitting its schema.
        reading: what the lock and examples.jsonl make a training read.
        training: the lock's ``train``.
    """
    learning = _Learning(
        objective_of(training["objective"]),
        training["precision"],
        training["continues"] is None and method_of(training["method"]).front == 0,
    )
    schedule, train, validation, _ = reading
    if not train.tokens or (schedule.validate_every and not validation.tokens):
        side = "validation" if train.tokens else "train"
        yield _refused(TRACE, f"no capture of the {side} side can be used, so nothing was run")
        return
    patience = schedule.new_patience()
    link = schedule.earlier_chain
    expected = schedule.happenings(patience)
    for number, row in enumerate(trace, start=1):
        place = f"{TRACE}:{number}"
        due = next(expected, None)
        if due is None or (row["kind"], row["step"]) != (due[0].value, due[1]):
            yield _refused(
                place,
                "this row is not the one that lock and validation losses require (S2, S3, S6, S9)",
                _told(due),
                f"{row['kind']} {row['step']}",
            )
            return
        if row["kind"] == "step":
            yield from _step_follows(row, reading, place)
            yield from _facts_follow(row, learning, len(row["positions"]), place)
        elif row["kind"] == "validation":
            labels = validation.learned(range(len(validation.labels)))
            yield from _same(f"{place}#/label_tokens", "S9", labels, row["label_tokens"])
            yield from _facts_follow(row, learning, len(validation.labels), place)
            yield from _answers_follow(row, schedule, len(validation.tokens), place)
            told = schedule.decisive(row)
            if patience and told is not None:
                patience.tell(told)
        else:
            state = digest.parse(row["state"], where=place)
            link = state if link is None else digest.chain(link, state)
            yield from _same(f"{place}#/chain", "S5", link, row["chain"])
            link = digest.parse(row["chain"], where=place)
    due = next(expected, None)
    if due is not None:
        yield _refused(TRACE, "the trace ends before the run does (S6)", _told(due), "the end")


def _answers_follow(
    row: "TraceRowValidation", schedule: Schedule, usable_captures: int, place: str
) -> Iterator[Refused]:
    """A validation states answers where the lock asks for them, and to as many captures."""
    due = None if schedule.answered is None else min(schedule.answered, usable_captures)
    stated = row["answers"]["cases"] if "answers" in row else None
    yield from _same(f"{place}#/answers", "S9", due, stated)


def _told(due: tuple[Happening, int] | None) -> str:
    return f"{due[0].value} {due[1]}" if due else "the end"


def _step_follows(row: "TraceRowStep", reading: Reading, place: str) -> Iterator[Refused]:
    schedule, train = reading.schedule, reading.train
    window, listed = reading.order.window(row["step"], schedule.accumulation), row["positions"]
    read = list(islice(window, len(listed) + 1))
    due = [train.positions[index] for index in read]
    if listed != due:
        pairs = zip_longest(due, listed)
        expected, found = next((one, other) for one, other in pairs if one != other)
        yield from _same(f"{place}#/positions", "S7", expected, found)
        return
    labels = train.learned(read)
    yield from _same(f"{place}#/label_tokens", "S8", labels, row["label_tokens"])
    rate, projector = schedule.rate(row["step"]), schedule.projector_rate(row["step"])
    yield from _same(f"{place}#/learning_rate", "S8", rate, row["learning_rate"])
    stated = row["projector_learning_rate"]
    yield from _same(f"{place}#/projector_learning_rate", "S8", projector, stated)


def _facts_follow(
    row: "TraceRowStep | TraceRowValidation", learning: _Learning, examples: int, place: str
) -> Iterator[Refused]:
    """The facts are the objective's, and can be: S11 and S12."""
    facts: Mapping[str, object] = row.get("facts", {})
    expected, found = ", ".join(sorted(learning.objective.FACTS)), ", ".join(sorted(facts))
    if expected != found:
        yield from _same(f"{place}#/facts", "S11", expected or None, found or None)
        return
    step = Step(
        loss=row["loss"],
        pairs=examples,
        labels=row["label_tokens"],
        precision=learning.precision,
        first=row["kind"] == "step" and row["step"] == 1 and learning.begins,
    )
    for wrong in learning.objective.wrong_facts(facts, step) if facts else ():
        yield _refused(
            f"{place}#/facts", f"what the step states of its pairs cannot be (S12): {wrong}"
        )


def _same(place: str, rule: str, expected: object, found: object) -> Iterator[Refused]:
    if expected != found:
        yield _refused(
            place,
            f"the trace differs from what follows from lock and examples ({rule})",
            "nothing" if expected is None else str(expected),
            "nothing" if found is None else str(found),
        )


def _refused(place: str, message: str, expected: str = "", found: str = "") -> Refused:
    return Refused("E_BUNDLE_REFERENCE", message, where=place, expected=expected, found=found)
