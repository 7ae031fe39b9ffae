"""The evaluation document: written by evaluation, computed again by verification, one function.

`evaluate` is the one function both sides call. It never reads a stated score: every score is made
again from the output and the reference. docs/format/evaluation.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from kolm.errors import Refused
from kolm.metrics.exact import normalise
from kolm.records import codec
from kolm.records.evaluation import Evaluation, Majority
from kolm.score.aggregate import summarise
from kolm.score.cases import Case
from kolm.score.floors import check_floors
from kolm.score.judge import Judge
from kolm.score.paired import compare
from kolm.score.slices import slice_scores

SCHEMA = "urn:kolm:evaluation:v1"
RUNS = ("adapter", "base", "blind")


class Mismatch(NamedTuple):
    """A prediction row that states something else than its own output gives."""

    case: str
    run: str
    field: str  # score | covered
    stated: str
    computed: str


def evaluate(
    predictions: Iterable[Mapping[str, Any]],
    cases: Sequence[Case],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """The evaluation document.

    Args:
        predictions: rows of predictions.jsonl, which fit their schema.
        cases: the declared cases (`read_cases`).
        settings: the lock's ``evaluation`` object.

    Raises:
        Refused: ``E_EVALUATION_EMPTY`` without cases; ``E_PREDICTIONS_CASE`` when the rows are not
            exactly the declared cases, sorted by id.
    """
    rows = _aligned(predictions, cases)
    ordered = sorted(cases, key=lambda case: case.case)
    judge = Judge(settings)
    judged = [  # case by case: a long reference is then normalised once for its three outputs
        [judge.judge(row[run], case.reference) for run in RUNS]
        for row, case in zip(rows, ordered, strict=True)
    ]
    verdicts = dict(zip(RUNS, zip(*judged, strict=True), strict=True))
    scores = {run: [verdict.score_millionths for verdict in verdicts[run]] for run in RUNS}
    clusters = [case.cluster for case in ordered]
    means = {run: summarise(scores[run], clusters, binary=judge.binary) for run in RUNS}
    majority = measure_majority(ordered, judge)
    paired = compare(scores["adapter"], scores["base"], binary=judge.binary)
    slices = slice_scores(ordered, scores["adapter"], binary=judge.binary)
    floors = check_floors(
        settings["floors"],
        adapter=means["adapter"],
        blind=means["blind"],
        majority=majority,
        paired=paired,
        slices=slices,
    )
    return codec.to_document(
        Evaluation(
            schema=SCHEMA,
            metric=dict(settings["metric"]),
            cases=len(ordered),
            covered=sum(verdict.covered for verdict in verdicts["adapter"]),
            distinct_questions=len({case.question for case in ordered}),
            cut_prompts=sum(row["cut"] > 0 for row in rows),
            images=len({image for case in ordered for image in case.images}),
            adapter=means["adapter"],
            base=means["base"],
            blind=means["blind"],
            majority=majority,
            paired=paired,
            slices=slices,
            floors=floors,
            floors_passed=all(floor.passed for floor in floors),
        )
    )


def score_row(
    row: Mapping[str, Any], case: Case, settings: Mapping[str, Any], *, judge: Judge | None = None
) -> dict[str, Any]:
    """A prediction row with the scores and coverage that its own outputs give.

    Args:
        row: ``case``, ``batch``, ``cut`` and the three runs, scored or not.
        case: the declared case of that row.
        settings: the lock's ``evaluation`` object.
        judge: reuse one over many rows; equal answers are then judged once.
    """
    by = judge or Judge(settings)
    scored = {name: row[name] for name in ("case", "batch", "cut")}
    for run in RUNS:
        outcome = row[run]
        verdict = by.judge(outcome, case.reference)
        scored[run] = {
            "output": outcome["output"],
            "tokens": outcome["tokens"],
            "finish": outcome["finish"],
            "score": verdict.score,
            "covered": verdict.covered,
        }
    return scored


def find_mismatches(
    predictions: Iterable[Mapping[str, Any]],
    cases: Sequence[Case],
    settings: Mapping[str, Any],
) -> Iterator[Mismatch]:
    """Every place where a row states another score or coverage than its output gives.

    Raises:
        Refused: as `evaluate`.
    """
    rows = _aligned(predictions, cases)
    judge = Judge(settings)
    ordered = sorted(cases, key=lambda case: case.case)
    for row, case in zip(rows, ordered, strict=True):
        for run in RUNS:
            stated, verdict = row[run], judge.judge(row[run], case.reference)
            if stated["score"] != verdict.score:
                yield Mismatch(case.case, run, "score", str(stated["score"]), verdict.score)
            if stated["covered"] != verdict.covered:
                said, computed = str(stated["covered"]), str(verdict.covered)
                yield Mismatch(case.case, run, "covered", said, computed)


def measure_majority(cases: Sequence[Case], judge: Judge) -> Majority:
    """The most frequent normalised reference (ties: first in code-point order) and its score."""
    counts = Counter(normalise(case.reference) for case in cases)
    answer = min(counts, key=lambda text: (-counts[text], text))
    scores = [judge.judge_text(answer, case.reference).score_millionths for case in cases]
    mean = summarise(scores, [case.cluster for case in cases], binary=judge.binary)
    return Majority(answer=answer, accuracy=mean.accuracy, interval=mean.interval)


def _aligned(
    predictions: Iterable[Mapping[str, Any]], cases: Sequence[Case]
) -> list[Mapping[str, Any]]:
    """The rows, once they are known to be exactly the declared cases in order."""
    rows = list(predictions)
    if not cases:
        raise Refused("E_EVALUATION_EMPTY", "there are no eval cases to score")
    expected = sorted(case.case for case in cases)
    for number, (row, case) in enumerate(zip(rows, expected, strict=False), 1):
        if row["case"] != case:
            raise Refused(
                "E_PREDICTIONS_CASE",
                "the predictions are not the declared cases, each once, sorted by id",
                where=f"predictions.jsonl:{number}",
                expected=case,
                found=str(row["case"]),
            )
    if len(rows) != len(expected):
        raise Refused(
            "E_PREDICTIONS_CASE",
            "the predictions are not the declared cases, each once, sorted by id",
            where="predictions.jsonl",
            expected=f"{len(expected)} rows",
            found=f"{len(rows)} rows",
        )
    return rows
