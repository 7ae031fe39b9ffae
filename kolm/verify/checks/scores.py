"""V30–V33, V38: are the scores what cases and outputs imply?

The functions that evaluation called to write are called again to compare. A stated score is read
only where the publisher withheld the references and no capture store has them: V32 and V33 then
refuse what cannot be and are otherwise not checked, for the scores are somebody's word.
"""

from __future__ import annotations

import operator
from array import array
from collections import Counter
from collections.abc import Iterator
from itertools import chain, groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from kolm import canonical, digest
from kolm.capture import rules
from kolm.errors import KolmError
from kolm.format.names import CASES, EVALUATION, LINES, LOCK, PREDICTIONS, SNAPSHOT
from kolm.objectives import objective_of
from kolm.records.verification import Finding
from kolm.score.evaluation import outcomes, runs_of
from kolm.score.judge import LENGTH, LONGEST_OUTPUT_CHARACTERS
from kolm.verify.check import check
from kolm.verify.findings import (
    READ_FINDINGS,
    could_not_look,
    failed,
    from_error,
    not_checked,
    passed,
    unless_equal,
)
from kolm.verify.subject import WITHHELD, Subject

# The parts of evaluation.json with the rules of docs/format/evaluation.md for what stands there.
_RULES: Final = {
    "adapter": "E4, E5",
    "base": "E4, E5",
    "blind": "E4, E5, E13",
    "clustered": "E14",
    "covered": "E3",
    "figures": "E15",
    "floors": "E9",
    "majority": "E8",
    "paired": "E6",
    "slices": "E7",
}

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kolm.digest import Digest
    from kolm.records.documents import (
        CaptureImage,
        Evaluation,
        PredictionsRow,
        PredictionsRowOutcome,
        SnapshotRowImage,
    )
    from kolm.score.evaluation import Run


@check(
    "V30",
    "Do the eval cases hash to the snapshot's eval leaves?",
    reads=(LINES, SNAPSHOT, LOCK),
)
def cases_are_the_leaves(subject: Subject) -> Iterator[Finding]:
    """Each case's id is the hash of its bytes; ids, order and pictures are the snapshot's.

    And the cases are ones that a snapshot can be taken of: captures that obey their rules, each
    asked once. Withheld cases are looked for in the auditor's capture store.
    """
    published = CASES in subject.documents
    if not published and subject.auditor.captures is not None:
        for case in subject.cases_not_held:
            yield could_not_look(
                "the publisher withheld this case, and the capture store does not hold it",
                where=f"{LINES}: {case}",
            )
    obstacle = subject.cases_obstacle()
    if obstacle is not None:
        yield not_checked(obstacle)
        return
    yield from _leaves_follow(subject)
    yield from _cases_obey_the_rules(subject)
    if not published:
        yield from unless_equal(
            digest.of_bytes(subject.cases_text),
            subject.lock["data"]["cases"],
            "the lock names other eval cases than the snapshot's",
            where=f"{LOCK}#/data/cases",
            rule="B9",
        )
    place = "" if published else " in your capture store"
    yield passed(f"{len(subject.case_ids):,} cases{place} hash to their leaves")


def _leaves_follow(subject: Subject) -> Iterator[Finding]:
    lines = subject.lines
    official = subject.snapshot["rule"]["kind"] == "official"
    leaves = iter(lines.of_split("eval"))  # both are in the order of the ids
    leaf, missing = next(leaves, None), array("Q")
    previous = ""
    for number, (case, row) in enumerate(subject.case_rows(), 1):
        where = f"{CASES}:{number}"
        if case <= previous:
            yield failed("the cases are not sorted by id, each once", where=where, rule="S3")
        previous = case
        while leaf is not None and lines.captures[leaf] < case:
            missing.append(leaf)
            leaf = next(leaves, None)
        if leaf is None or lines.captures[leaf] != case:
            yield failed(
                "the case is not one of the snapshot's eval captures: it was edited or added",
                where=where,
                found=case,
                rule="S3",
            )
        else:
            if looks(lines.images[leaf]) != looks(row["images"]):
                wrong = "the case names other pictures than its leaf"
                yield failed(wrong, where=where, found=case, rule="S2")
            leaf = next(leaves, None)
        if official and row["split"] != "eval":
            yield failed(
                "under an official split a case must be marked eval",
                where=where,
                expected="eval",
                found=row["split"] or "none",
                rule="S8",
            )
    for number in chain(missing, () if leaf is None else (leaf,), leaves):
        yield failed(
            "a capture that the snapshot puts on the eval side is missing from the cases",
            where=CASES,
            expected=lines.captures[number],
            rule="S3",
        )


def looks(images: Sequence[CaptureImage | SnapshotRowImage]) -> list[tuple[str, str]]:
    """File and pixel digest of each picture, in the capture's order."""
    return [(image["file"], image["pixels"]) for image in images]


def _cases_obey_the_rules(subject: Subject) -> Iterator[Finding]:
    """What taking captures in and a snapshot of them refuse: C4 to C12, S13."""
    pictures: dict[str, tuple[object, ...]] = {}
    answered: dict[bytes, tuple[int, bytes]] = {}  # by question: the first case, and its answer
    fingerprints = subject.rules.fingerprints
    for number, (_, row) in enumerate(subject.case_rows(), 1):
        where = f"{CASES}:{number}"
        try:
            rules.check_rules(row, where=where)
        except KolmError as error:
            yield from_error(error)
            continue
        question, answer = fingerprints(row)
        first, its_answer = answered.setdefault(question, (number, answer))
        if first != number:
            does = "repeats" if answer == its_answer else "contradicts"
            yield failed(
                f"the case {does} another: the same pictures and prompt",
                where=where,
                found=f"{CASES}:{first}",
                rule="S13",
            )
        for image in row["images"]:
            described = tuple(image.values())  # canonical, so that the keys have one order
            if pictures.setdefault(image["file"], described) != described:
                yield failed(
                    "the picture is described differently than in an earlier case",
                    where=where,
                    found=image["file"],
                    rule="capture C6",
                )


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


@check(
    "V32",
    "Is every case's score and coverage what the metric computes?",
    needs=("V31",),
    reads=(PREDICTIONS, LOCK),
)
def case_scores_follow(subject: Subject) -> Iterator[Finding]:
    """Each output of each case is judged again.

    Without references only what no reference could give is refused.
    """
    obstacle, settings = subject.cases_obstacle(), subject.lock["evaluation"]
    for wrong in (
        subject.rules.find_impossible(subject.predictions, settings)
        if obstacle
        else subject.rules.find_mismatches(subject.predictions, subject.cases, settings)
    ):
        yield failed(
            f"the {wrong.field} of the {wrong.run} output is not what the metric computes",
            where=f"{PREDICTIONS}: {wrong.case}",
            expected=wrong.computed,
            found=wrong.stated,
            rule="P7",
        )
    if obstacle:
        yield not_checked(f"{obstacle}; the scores are as stated")
    judged = len(subject.predictions) * len(outcomes(next(iter(subject.predictions))))  # V31
    yield passed(f"{judged:,} outputs judged again")


@check(
    "V33",
    "Is evaluation.json what cases and outputs imply, byte for byte?",
    needs=("V31",),
    reads=(PREDICTIONS, LINES, LOCK, EVALUATION),
)
def evaluation_follows(subject: Subject) -> Iterator[Finding]:
    """The whole document is computed again: metrics, intervals, slices, controls, floors.

    Without references all that follows from the scores stated case by case.
    """
    obstacle = subject.cases_obstacle()
    computed = _computed(subject, from_stated=obstacle is not None)
    if canonical.dumps(computed) != subject.documents.raw(EVALUATION):
        for key in sorted(computed.keys() | subject.evaluation.keys()):
            yield from unless_equal(
                computed.get(key, "nothing"),
                subject.evaluation.get(key, "nothing"),
                f"{key} is not what cases and outputs imply",
                where=f"{EVALUATION}#/{key}",
                rule=_RULES.get(key, "E4"),
            )
    if obstacle:
        yield not_checked(
            f"{obstacle}; means, intervals, paired test and floors follow from the stated scores, "
            "majority answer, swapped references and slices"
        )
    stated = computed["adapter"]
    low, high = stated["interval"]["low"], stated["interval"]["high"]
    yield passed(f"accuracy {stated['accuracy']} (95 % {low} to {high})")


def _computed(subject: Subject, *, from_stated: bool) -> Evaluation:
    settings = subject.lock["evaluation"]
    if not from_stated:
        return subject.rules.evaluate(subject.predictions, subject.cases, settings)
    lines = subject.lines
    pictures = {
        lines.captures[number]: [image["pixels"] for image in lines.images[number]]
        for number in lines.of_split("eval")
    }
    return subject.rules.evaluate_stated(
        subject.predictions, pictures, settings, stated=subject.evaluation
    )


@check(
    "V38",
    "Were prompts, references and outputs published, so that scores can be recomputed?",
    reads=(LOCK, LINES),
)
def text_is_published(subject: Subject) -> Iterator[Finding]:
    """Withholding is allowed and shown; promising and not delivering is not."""
    promised, there = subject.lock["publish"]["text"], CASES in subject.documents
    if promised and not there:
        yield failed(
            "the lock promises the eval cases, and they are missing", where=CASES, rule="E10"
        )
    elif there and not promised:
        yield failed(
            "the lock withholds the eval cases, and they are there", where=CASES, rule="E10"
        )
    elif there:
        yield passed("prompts, references and outputs are in the bundle")
    else:
        held = subject.auditor.captures is not None and not subject.cases_not_held
        place = "they are read from your capture store" if held else "--captures can give them"
        yield not_checked(f"{WITHHELD}; {place}")
