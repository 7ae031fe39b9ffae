"""V50 to V54: does the training give the recorded states when segments of it are run again?

Which segments, follows from a number that the auditor chose after the bundle was fixed. In the
recorded environment class every bit has to come out again; in another one nothing can be compared,
and that says nothing about the bundle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from kolm import digest
from kolm.bundle.cid import cid_of
from kolm.counting import counted
from kolm.errors import KolmError
from kolm.format.names import TRACE, WEIGHTS
from kolm.records.verification import Finding, Verdict
from kolm.verify.check import Answers
from kolm.verify.findings import could_not_look, failed, from_error, not_checked, passed
from kolm.verify.replay import Outcome, outcome_of
from kolm.verify.segments import Segment, ranges
from kolm.verify.subject import Subject

if TYPE_CHECKING:
    from kolm.records.documents import TraceRow


# What a child says whose own arithmetic is not that of the class that was measured before it.
_ANOTHER_CLASS = ("E_TRAIN_ENVIRONMENT", "E_TRAIN_PROFILE")


def environment_is_the_recorded(subject: Subject) -> Iterator[Finding]:
    """Another class is no fault of the bundle: its bits are not comparable."""
    request = subject.auditor.replay
    if request is None:
        raise AssertionError("training is run again only on request")
    stated = subject.lock["environment"]
    try:
        here = request.environment(subject.lock)
    except KolmError as error:
        told = from_error(error)
        yield told._replace(verdict=Verdict.COULD_NOT_LOOK)
        return
    if here["class"] == stated["class"]:
        yield passed(f"class {here['class']}")
        return
    names = sorted(
        name
        for name in {**here, **stated}
        if name != "class" and here.get(name) != stated.get(name)
    )
    differing = ", ".join(f"{name} {stated.get(name)}, here {here.get(name)}" for name in names)
    yield could_not_look(
        f"not comparable: the training ran in another environment class ({differing})"
    )


def first_state_follows(subject: Subject) -> Iterator[Finding]:
    """Attached and seeded anew, on the auditor's own base."""
    outcome = outcome_of(subject)
    if outcome.error is not None:
        told = from_error(outcome.error)
        another = outcome.error.code in _ANOTHER_CLASS
        yield told._replace(verdict=Verdict.COULD_NOT_LOOK) if another else told
        return
    if outcome.lacking:
        yield could_not_look(
            f"the store does not hold {counted(len(outcome.lacking), 'capture')} that segments "
            f"{ranges([s.number for s in outcome.drawn])} read; --json lists them as lacking",
            where=outcome.lacking[0],
        )
        return
    recorded = outcome.segments[0].begin.state
    if outcome.state_first is None:
        assert outcome.continued is not None  # else it is derived from nothing else
        state, chain = outcome.continued
        yield could_not_look(
            f"the training goes on from state {state} of an earlier one, with chain {chain}, "
            "which nobody handed over: give its bundle or folder with --states"
        )
    elif outcome.state_first != recorded:
        yield failed(
            "base, lock and seed make another state 0: training began with other weights",
            where=f"{TRACE}:1",
            expected=outcome.state_first,
            found=recorded,
            rule="C6",
        )
    else:
        whence = "derived again from base, lock and seed"
        if outcome.continued is not None:
            whence += f", and from state {outcome.continued[0]} of an earlier training, taken as is"
        yield passed(whence)


def last_state_holds_the_adapter(subject: Subject) -> Iterator[Finding]:
    """By the last state itself, or by the adapter that the last segment ended with."""
    outcome, shipped = outcome_of(subject), digest.of_bytes(subject.documents.raw(WEIGHTS))
    end = outcome.segments[-1]
    ran = outcome.results.get(end.number)
    if outcome.is_equal(end) and ran is not None:
        if ran["adapter"] == shipped:
            yield passed("the last segment, run again, ends with the bundled adapter")
        else:
            yield failed(
                "the last segment ends with another adapter than the bundled one",
                where=WEIGHTS,
                expected=ran["adapter"],
                found=shipped,
                rule="C6",
            )
    elif outcome.other_weights is not None:
        for name in outcome.other_weights:
            yield failed(
                "the last state has other weights than the bundled adapter",
                where=f"{WEIGHTS}: {name}",
                rule="C6",
            )
        yield passed("the last state holds the bundled adapter, byte for byte")
    elif end.end.step in outcome.wrong_states:
        yield from_error(outcome.wrong_states[end.end.step])
    else:
        yield _not_handed("the last state", end.end.step, outcome)


def first_segment_repeats(subject: Subject) -> Iterator[Finding]:
    """It needs no state but the one that is derived."""
    outcome = outcome_of(subject)
    yield from _repeats(outcome, outcome.segments[:1])
    yield passed(f"steps 1 to {outcome.segments[0].end.step}, bit for bit")


def drawn_segments_repeat(subject: Subject) -> Iterator[Finding]:
    """Each from the recorded state before it, or from where the one before it ended."""
    outcome = outcome_of(subject)
    others = [segment for segment in outcome.drawn if segment.number > 1]
    total = len(outcome.segments)
    yield from _repeats(outcome, others)
    if total == 1:
        yield passed("the training has one segment")
        return
    if not others:
        yield not_checked("no segment besides the first was asked for")
        return
    numbers = ranges([segment.number for segment in others])
    yield passed(
        f"{numbers} of {total}, drawn here by nonce {cid_of(outcome.request.nonce)}, bit for bit; "
        f"{outcome.chances_told()}"
    )


def _repeats(outcome: Outcome, segments: Sequence[Segment]) -> Iterator[Finding]:
    for segment in segments:
        place = f"segment {segment.number}, steps {segment.begin.step + 1} to {segment.end.step}"
        found = outcome.results.get(segment.number)
        if found is None:
            wrong = outcome.wrong_states.get(segment.begin.step)
            if wrong is not None:
                yield from_error(wrong)
            elif outcome.request.segments is None:
                yield could_not_look("the state before it was not reached", where=place)
            else:
                step = segment.begin.step
                yield _not_handed("the state before it", step, outcome, place=place)
        elif not outcome.is_equal(segment):
            then = outcome.rows[segment.number]
            yield _differs(segment, then, found["rows"], found["state"], place)


def _differs(
    segment: Segment,
    recorded: Sequence[TraceRow],
    rows: Sequence[TraceRow],
    state: str,
    place: str,
) -> Finding:
    """The first row that came out otherwise; where all are equal, the state."""
    first = segment.lines.start
    for number, (then, now) in enumerate(zip_longest(recorded, rows), start=first):
        if then != now:
            return failed(
                "run again, the training goes another way",
                where=f"{TRACE}:{number}, {place}",
                expected=_told(now, then),
                found=_told(then, now),
                rule="S8",
            )
    return failed(
        "run again, the training ends in another state",
        where=f"{TRACE}:{segment.lines.stop}, {place}",
        expected=state,
        found=segment.end.state,
        rule="S4",
    )


def _told(row: TraceRow | None, other: TraceRow | None) -> str:
    """What a row says otherwise than another one."""
    mine, theirs = dict(row or {}), dict(other or {})
    if not mine:
        return "no such row"
    told = [f"{key} {value}" for key, value in mine.items() if theirs.get(key) != value]
    return f"{mine['kind']} {mine['step']}: {', '.join(told)}"


def _not_handed(what: str, step: int, outcome: Outcome, *, place: str = "") -> Finding:
    named = outcome.request.states.named
    looked = f"not in {named}" if named else "not handed over"
    return could_not_look(
        f"{what} (of step {step}) is {looked}", where=place, code="E_STATE_NOT_HANDED_OVER"
    )


ANSWERS: Answers = {
    "V50": first_state_follows,
    "V51": last_state_holds_the_adapter,
    "V52": first_segment_repeats,
    "V53": drawn_segments_repeat,
    "V54": environment_is_the_recorded,
}
