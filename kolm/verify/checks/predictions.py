"""V31: was every declared case answered, once, in runs, batches and lengths that can be?"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from kolm.errors import KolmError
from kolm.format.names import LINES, LOCK, PREDICTIONS
from kolm.objectives import objective_of
from kolm.records.verification import Finding
from kolm.score.evaluation import outcomes, runs_of
from kolm.score.judge import LENGTH, LONGEST_OUTPUT_CHARACTERS
from kolm.verify.check import check
from kolm.verify.findings import READ_FINDINGS, could_not_look, failed, from_error, passed
from kolm.verify.subject import Subject

if TYPE_CHECKING:
    from kolm.digest import Digest
    from kolm.records.documents import PredictionsRow, PredictionsRowOutcome
    from kolm.score.evaluation import Run


@check(
    "V31",
    "Is every declared case answered exactly once, in order, and no other?",
    reads=(PREDICTIONS, LINES, LOCK),
)
def every_case_is_answered(subject: Subject) -> Iterator[Finding]:
    """The snapshot's eval lines are what was declared; predictions must be exactly those.

    And their batches and lengths are ones that the lock's settings can give.
    """
    lines = subject.lines
    declared = lines.of_split("eval")
    if not declared:
        yield failed("no case is declared: nothing was evaluated", where=LINES, rule="P1")
    said = _gone_through(subject)
    answered = said.cases
    in_order = all(map(operator.lt, answered, answered[1:]))
    due = [lines.captures[number] for number in declared]
    if answered != due:
        yield from _other_cases(due, sorted(answered))
    if not in_order:
        yield failed(
            "the predictions are not sorted by case, each once", where=PREDICTIONS, rule="P1"
        )
    yield from _runs_are_the_familys(subject, said.runs)
    yield from _batches_follow(subject, said.batches)
    yield from said.ends
    yield from said.preferences
    yield passed(f"{len(answered):,} of {len(declared):,} declared cases")


def _other_cases(declared: list[Digest], answered: list[str]) -> Iterator[Finding]:
    """Each that is declared or answered alone; both are sorted."""
    from heapq import merge

    both = merge(
        ((case, "declared") for case in declared), ((case, "answered") for case in answered)
    )
    for case, found in groupby(both, key=operator.itemgetter(0)):
        sides = {side for _, side in found}
        if sides == {"declared"}:
            yield failed(
                "a declared case has no prediction", where=PREDICTIONS, expected=case, rule="P1"
            )
        elif sides == {"answered"}:
            yield failed(
                "a prediction is for no declared case", where=PREDICTIONS, found=case, rule="P1"
            )


class _Said(NamedTuple):
    """What the predictions say, gone through once: a row takes longer to read than to judge.

    Attributes:
        cases: that were answered.
        runs: the runs in which cases were answered, each combination once.
        batches: how many cases each batch had.
        ends: what is wrong with the ends of answers.
        preferences: what is wrong with the likelihoods of two answers.
    """

    cases: list[str]
    runs: set[tuple[Run, ...]]
    batches: Counter[int]
    ends: list[Finding]
    preferences: list[Finding]


def _gone_through(subject: Subject) -> _Said:
    said, due = _Said([], set(), Counter(), [], []), None
    most = subject.lock["evaluation"]["max_new_tokens"]
    try:
        due = _Preferences(subject)
    except KolmError as error:  # of a case: what else is wrong is told first
        said.preferences.append(from_error(error))
    for row in subject.predictions:
        said.cases.append(row["case"])
        outputs = outcomes(row)
        said.runs.add(tuple(outputs))
        said.batches[row["batch"]] += 1
        if len(said.ends) <= READ_FINDINGS:
            said.ends.extend(_other_ends(row["case"], outputs, most))
        if due is not None and len(said.preferences) <= READ_FINDINGS:
            said.preferences.extend(due.other(row))
    return said


def _runs_are_the_familys(subject: Subject, found: set[tuple[Run, ...]]) -> Iterator[Finding]:
    """P2: every case was answered blind where the base takes pictures, and none where it does not.

    Of a family that this kolm does not know, a run that is missing may have been left out.
    """
    expected = runs_of(pictures=subject.family is None or subject.family.takes_pictures)
    if found <= {expected}:
        return
    shown = "; ".join(", ".join(runs) for runs in sorted(found))
    if subject.family is None and len(found) == 1:
        yield could_not_look(
            "no blind run, and this kolm does not know whether the family takes pictures",
            where=PREDICTIONS,
            code="E_ROLES_UNKNOWN_FAMILY",
        )
        return
    yield failed(
        "the cases were not answered in the runs that the base's family has",
        where=PREDICTIONS,
        expected=", ".join(expected),
        found=shown,
        rule="P2",
    )


class _Preferences:
    """P8: likelihoods stand where the objective learns from pairs and the case has two answers."""

    def __init__(self, subject: Subject) -> None:
        self._paired = objective_of(subject.lock["train"]["objective"]).PAIRED
        self._having: set[str] | None = None  # of the cases, if they can be read
        if subject.cases_obstacle() is None:
            self._having = {case.case for case in subject.cases if case.rejected}

    def other(self, row: PredictionsRow) -> Iterator[Finding]:
        """What is wrong with a row."""
        stated = "preference" in row
        known = stated if self._having is None else row["case"] in self._having
        expected = self._paired and known
        if stated != expected:
            yield failed(
                "likelihoods of two answers are stated for the cases that have them, after a "
                "training on pairs, and for no other",
                where=f"{PREDICTIONS}: {row['case']}",
                expected="preference" if expected else "no preference",
                found="preference" if stated else "no preference",
                rule="P8",
            )


def _batches_follow(subject: Subject, sizes: Counter[int]) -> Iterator[Finding]:
    """P5: batches of the lock's size, numbered from 0; only the last may be smaller."""
    left, size = len(subject.predictions), subject.lock["evaluation"]["batch_size"]
    for batch in range(-(-left // size)):
        expected = min(size, left - batch * size)
        if sizes[batch] != expected:
            yield failed(
                f"batch {batch} does not hold the cases that evaluation.batch_size assigns to it",
                where=PREDICTIONS,
                expected=expected,
                found=sizes[batch],
                rule="P5",
            )
            return


def _other_ends(
    case: str, outputs: Mapping[Run, PredictionsRowOutcome], most: int
) -> Iterator[Finding]:
    """P6: an answer has a token at least, and one that was cut has reached a limit."""
    for run, said in outputs.items():
        tokens, cut = said["tokens"], said["finish"] == LENGTH
        if not 1 <= tokens <= most:
            wrong = f"the {run} output has an impossible number of tokens"
        elif cut and tokens < most and len(said["output"]) < LONGEST_OUTPUT_CHARACTERS:
            wrong = f"the {run} output is cut before it has reached a limit"
        else:
            continue
        yield failed(
            wrong,
            where=f"{PREDICTIONS}: {case}",
            expected=f"{most}" if cut else f"1 to {most}",
            found=f"{tokens}",
            rule="P6",
        )
