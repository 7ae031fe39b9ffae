"""Segments of a training run again: what is asked for, and what came out, for V50 to V54.

The run itself happens in a child process that `actions` starts; this draws, finds the states from
which segments begin, and remembers the answer for the checks and for the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kolm.bundle.states import (
    State,
    StateForm,
    demand_tensors,
    other_weights,
    read_document,
)
from kolm.digest import Digest
from kolm.errors import KolmError
from kolm.format.checkpoint import document_name
from kolm.format.examples import next_pair
from kolm.format.names import TRACE
from kolm.objectives import objective_of
from kolm.records.verification import Replay
from kolm.verify.ports import ReplayJob, ReplayRequest
from kolm.verify.segments import (
    Boundary,
    Segment,
    chances,
    draw_segments,
    ranges,
    read_segments,
    rows_of,
)

if TYPE_CHECKING:
    from kolm.records.documents import TraceRow
    from kolm.run.documents import ReplayedSegment
    from kolm.verify.subject import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a replay was asked for and what came out.

    Attributes:
        request: of the auditor.
        segments: all of the training.
        drawn: those that were asked for.
        rows: of the trace, of each drawn segment by its number.
        results: of those that ran, by number.
        state_first: the state before the first step as it was derived here, or None.
        other_weights: those that the last state has otherwise than the bundled adapter; None where
            it was not handed over.
        continued: the state and the chain that the training goes on from, or None.
        earlier: whether that state was handed over.
        lacking: captures that the store does not hold; then nothing ran.
        error: why nothing ran, or None.
        wrong_states: why a state that was handed over is none, by its step.
    """

    request: ReplayRequest
    segments: tuple[Segment, ...]
    drawn: tuple[Segment, ...]
    rows: Mapping[int, tuple[TraceRow, ...]]
    results: Mapping[int, ReplayedSegment]
    state_first: Digest | None
    other_weights: tuple[str, ...] | None
    continued: tuple[Digest, Digest] | None
    earlier: bool
    lacking: tuple[Digest, ...]
    error: KolmError | None
    wrong_states: Mapping[int, KolmError]

    def is_equal(self, segment: Segment) -> bool:
        """Whether a segment ran, with the recorded rows, into the recorded state."""
        found = self.results.get(segment.number)
        return (
            found is not None
            and found["state"] == segment.end.state
            and tuple(found["rows"]) == self.rows[segment.number]
        )

    @property
    def equal(self) -> tuple[Segment, ...]:
        """The drawn segments that came out as recorded."""
        return tuple(filter(self.is_equal, self.drawn))

    def chances_told(self) -> str:
        """What the draw misses, in words."""
        found = chances(len(self.segments), len(self.drawn) - 1)
        tenth = max(1, (len(self.segments) - 1) // 10)
        told = next((chance.probability for chance in found if chance.bad == tenth), None)
        if told is None or len(self.drawn) == len(self.segments):
            return "none was left out"
        which = "one bad one" if tenth == 1 else f"{tenth} bad ones"
        return f"such a draw misses {which} with probability {told}"

    def not_covered(self) -> tuple[str, ...]:
        """What was not looked at, in words."""
        equal = {segment.number for segment in self.equal}
        left = [segment.number for segment in self.segments if segment.number not in equal]
        told = []
        if left:
            told.append(f"segments {ranges(left)} of {len(self.segments)}")
        if self.continued is not None:
            told.append(f"the earlier training that ends in state {self.continued[0]}")
        told.append("trainings that were tried before this one and not kept")
        return tuple(told)

    def report(self) -> Replay:
        """As the report has it."""
        equal = self.equal
        ran = [segment for segment in self.drawn if segment.number in self.results]
        return Replay(
            nonce=self.request.nonce,
            segments=len(self.segments),
            steps=sum(segment.steps for segment in self.segments),
            drawn=tuple(segment.number for segment in self.drawn),
            equal=tuple(segment.number for segment in equal),
            differing=tuple(segment.number for segment in ran if segment not in equal),
            steps_equal=sum(segment.steps for segment in equal),
            states=self.request.states.named or "nobody handed any over",
            missed=chances(len(self.segments), len(self.drawn) - 1),
            not_covered=self.not_covered(),
            lacking=self.lacking,
        )


class _States:
    """The states of one training, looked for where they may be and checked before use."""

    def __init__(self, subject: Subject, request: ReplayRequest) -> None:
        self._source = request.states
        self._form = StateForm.of(subject.documents)
        self.wrong: dict[int, KolmError] = {}

    def at(self, boundary: Boundary) -> State | None:
        """The state at a boundary, or None; `wrong` remembers why it is none."""
        try:
            return self.find(boundary.state, boundary)
        except KolmError as error:
            self.wrong[boundary.step] = error.again()
            return None

    def find(self, state: Digest, boundary: Boundary | None = None) -> State | None:
        """A state by its digest; at a boundary of this training also by what the trace says of it.

        Raises:
            KolmError: what is there is no state, or cannot be read.
        """
        stored = self._source.document(state, boundary.step if boundary else None)
        if stored is None:
            return None
        where = document_name(boundary.step) if boundary else "the earlier training's last state"
        document = read_document(state, stored, where=where)
        if boundary is not None:
            boundary.demand(document, where=where)
        held = self._source.tensors(
            Digest(document["tensors"]), document["step"], self._form.most_bytes
        )
        if held is None:
            return None
        demand_tensors(document, held.view, held.digest, self._form, where=held.path.name)
        return State(stored, held.view)


def outcome_of(subject: Subject) -> Outcome:
    """The replay of a subject; it runs when it is first asked for."""
    if subject.outcome is None:
        request = subject.auditor.replay
        if request is None:
            raise AssertionError("training is run again only on request")
        subject.outcome = _run(subject, request)
    return subject.outcome


def _run(subject: Subject, request: ReplayRequest) -> Outcome:
    schedule = subject.rules.read_schedule(subject.lock)
    segments = read_segments(subject.documents.rows(TRACE), schedule)
    content = subject.content_id
    if content is None:
        raise AssertionError("a bundle without a manifest passed V08")
    numbers = draw_segments(len(segments), request.segments, content, request.nonce)
    drawn = tuple(segments[number - 1] for number in numbers)
    rows = rows_of(subject.documents.rows(TRACE), drawn)
    states = _States(subject, request)
    # Where everything runs each segment begins where the one before it ended.
    begun = [s.begin for s in drawn] if request.segments is not None else []
    handed = frozenset(begin.step for begin in begun if states.at(begin) is not None)
    last = states.at(segments[-1].end)
    others = None if last is None else tuple(other_weights(last, subject.documents))
    del last  # it may be large
    stated = subject.lock["train"]["continues"]
    continued = None if stated is None else (Digest(stated["state"]), Digest(stated["chain"]))
    earlier: State | None = None
    results: dict[int, ReplayedSegment] = {}
    lacking: tuple[Digest, ...] = ()
    first: Digest | None = None
    failure: KolmError | None = None
    try:
        earlier = states.find(continued[0]) if continued else None
        runnable = _runnable(drawn, handed, derived=continued is None or earlier is not None)
        captures = _captures_of(subject, [row for s in runnable for row in rows[s.number]])
        lacking = tuple(request.lacking(captures))
        if not lacking:
            answer = request.run(
                ReplayJob(
                    bundle=subject.container,
                    base=subject.auditor.base_folder(),
                    nonce=request.nonce,
                    segments=runnable,
                    handed=handed,
                    state=lambda segment: states.at(segment.begin),
                    continued=earlier,
                    captures=captures,
                )
            )
            first = answer["state"]
            ran = zip(runnable, answer["segments"], strict=True)
            results = {segment.number: told for segment, told in ran if told is not None}
    except KolmError as error:
        failure = error.again()
    return Outcome(
        request=request,
        segments=segments,
        drawn=drawn,
        rows=rows,
        results=results,
        state_first=first,
        other_weights=others,
        continued=continued,
        earlier=earlier is not None,
        lacking=lacking,
        error=failure,
        wrong_states=states.wrong,
    )


def _runnable(
    drawn: Sequence[Segment], handed: frozenset[int], *, derived: bool
) -> tuple[Segment, ...]:
    """The segments that can begin: at state 0, at a state at hand, or where the one before ends."""
    found: list[Segment] = []
    for segment in drawn:
        after = found and found[-1].end == segment.begin
        if segment.begin.step in handed or (segment.number == 1 and derived) or after:
            found.append(segment)
    return tuple(found)


def _captures_of(subject: Subject, rows: Sequence[TraceRow]) -> tuple[Digest, ...]:
    """The captures that rows of the trace read, sorted."""
    lines = subject.lines
    train, validation = (lines.of_split(side) for side in ("train", "validation"))
    places = {place for row in rows if row["kind"] == "step" for place in row["positions"]}
    _, learned, looked_at, _ = subject.documents.reading
    if objective_of(subject.lock["train"]["objective"]).UNRELATED:
        numbers = {place: number for number, place in enumerate(learned.positions)}
        after = (next_pair(numbers[place], len(numbers)) for place in places)
        places |= {learned.positions[number] for number in after}
    read = {train[place] for place in places}
    if any(row["kind"] == "validation" for row in rows):
        read |= {validation[place] for place in looked_at.positions}
    return tuple(sorted(Digest(lines.captures[number]) for number in read))
