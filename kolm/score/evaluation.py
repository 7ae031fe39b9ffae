"""The evaluation document: written by evaluation, computed again by verification, one function.

`evaluate` is the one function both sides call. It never reads a stated score: every score is made
again from the output and the reference. `evaluate_stated` gives what follows from the scores that
are stated case by case, for a bundle whose references were withheld. docs/format/evaluation.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, cast

from kolm.errors import Refused
from kolm.metrics.exact import normalise
from kolm.score import clusters
from kolm.score.cases import Case
from kolm.score.floors import all_passed, check_floors
from kolm.score.intervals import summarise
from kolm.score.judge import Judge
from kolm.score.paired import compare
from kolm.score.preference import summarise_preferences
from kolm.score.rounding import in_millionths, ratio, written
from kolm.score.slices import slice_scores

if TYPE_CHECKING:
    from kolm.digest import Digest
    from kolm.metrics.metric import References
    from kolm.records.documents import (
        Evaluation,
        EvaluationAccuracy,
        EvaluationFigure,
        EvaluationFigureName,
        EvaluationMajority,
        EvaluationSlice,
        LockEvaluation,
        PredictionsRow,
        PredictionsRowOutcome,
        PredictionsRowPreference,
    )


SCHEMA: Final = "urn:kolm:evaluation:v1"
Run = Literal["adapter", "base", "blind"]
RUNS: Final[tuple[Run, ...]] = ("adapter", "base", "blind")
_WITHOUT_PICTURES: Final[tuple[Run, ...]] = ("adapter", "base")


def runs_of(*, pictures: bool) -> tuple[Run, ...]:
    """The runs that answer each case; without pictures there is nothing to be blind to.

    Args:
        pictures: whether the base takes any.
    """
    return RUNS if pictures else _WITHOUT_PICTURES


def outcomes(row: PredictionsRow) -> dict[Run, PredictionsRowOutcome]:
    """What a row holds, by run."""
    return {run: said for run in RUNS if (said := row[run]) is not None}


class Mismatch(NamedTuple):
    """A prediction row that states something else than its own output gives."""

    case: str
    run: str
    field: str  # score | covered
    stated: str
    computed: str


def evaluate(
    predictions: Iterable[PredictionsRow],
    cases: Sequence[Case],
    settings: LockEvaluation,
) -> Evaluation:
    """The evaluation document.

    Args:
        predictions: rows of predictions.jsonl, which fit their schema.
        cases: the declared cases (`read_cases`).
        settings: the lock's ``evaluation`` object.

    Raises:
        Refused: ``E_EVALUATION_EMPTY`` without cases; ``E_PREDICTIONS_CASE`` when the rows are not
            exactly the declared cases, sorted by id.
    """
    ordered = sorted(cases, key=lambda case: case.case)
    judge = Judge(settings, [case.references for case in ordered])
    tally = _Tally()
    answered: dict[Run, list[str | None]] = {run: [] for run in RUNS}
    swapped: list[int] = []
    rows = _aligned(predictions, [case.case for case in ordered])
    for row, case, other in zip(rows, ordered, swapped_references(ordered), strict=True):
        # Case by case: a long reference is normalised once for its outputs.
        said = outcomes(row)
        verdicts = {run: judge.judge(one, case.references) for run, one in said.items()}
        scores = {run: verdict.score_millionths for run, verdict in verdicts.items()}
        tally.take(row, scores, covered=verdicts["adapter"].covered)
        if judge.figures is not None:
            for run, verdict in verdicts.items():
                answered[run].append(said[run]["output"] if verdict.covered else None)
        swapped.append(judge.judge(row["adapter"], other).score_millionths)
    return _add_up(
        tally,
        pictures=[case.images for case in ordered],
        distinct_questions=len({case.question for case in ordered}),
        majority=measure_majority(ordered, judge),
        swapped=summarise(swapped),
        slices=slice_scores(ordered, tally.millionths["adapter"]),
        figures=measure_figures(judge, ordered, answered),
        settings=settings,
    )


def evaluate_stated(
    predictions: Iterable[PredictionsRow],
    pictures: Mapping[Digest, Sequence[str]],
    settings: LockEvaluation,
    *,
    stated: Evaluation,
) -> Evaluation:
    """The evaluation document that the scores stated case by case imply.

    Means, intervals, the paired test, coverage and floors follow from them. What needs prompts,
    references and tags does not: `majority`, `swapped`, `slices`, `figures` and
    `distinct_questions` are taken from the stated document.

    Args:
        predictions: rows of predictions.jsonl, which fit their schema.
        pictures: for every declared case the pixel digests of its pictures (the snapshot's lines).
        settings: the lock's ``evaluation`` object.
        stated: the evaluation document that is to be compared.

    Raises:
        Refused: as `evaluate`.
    """
    tally, cases = _Tally(), sorted(pictures)
    for row in _aligned(predictions, cases):
        scores = {run: in_millionths(said["score"]) for run, said in outcomes(row).items()}
        tally.take(row, scores, covered=row["adapter"]["covered"])
    return _add_up(
        tally,
        pictures=[pictures[case] for case in cases],
        distinct_questions=stated["distinct_questions"],
        majority=stated["majority"],
        swapped=stated["swapped"],
        slices=stated["slices"],
        figures=stated["figures"],
        settings=settings,
    )


class _Tally:
    """One score a case and run, and what else is counted, as the rows are gone through."""

    def __init__(self) -> None:
        self.millionths: dict[Run, list[int]] = {run: [] for run in RUNS}
        self.covered = self.cut_prompts = 0
        self.preferences: list[PredictionsRowPreference] = []

    def take(self, row: PredictionsRow, scores: Mapping[Run, int], *, covered: bool) -> None:
        """Count a row with the scores of its runs; `covered` is the adapter's answer."""
        for run, score in scores.items():
            self.millionths[run].append(score)
        self.covered += covered
        self.cut_prompts += row["cut"] > 0
        if "preference" in row:
            self.preferences.append(row["preference"])


def _add_up(
    tally: _Tally,
    *,
    pictures: Sequence[Sequence[str]],
    distinct_questions: int,
    majority: EvaluationMajority,
    swapped: EvaluationAccuracy,
    slices: list[EvaluationSlice],
    figures: list[EvaluationFigure],
    settings: LockEvaluation,
) -> Evaluation:
    """Everything that follows from the scores, held against the floors."""
    binary = Judge(settings).binary
    clustered = clusters.measure(tally.millionths, pictures)
    means = {run: summarise(own) for run, own in tally.millionths.items() if own}
    paired = compare(tally.millionths["adapter"], tally.millionths["base"], binary=binary)
    floors = check_floors(
        settings["floors"],
        means=means,
        clustered=clustered,
        figures=figures,
        majority=majority,
        paired=paired,
        slices=slices,
    )
    found: Evaluation = {
        "schema": SCHEMA,
        "metric": settings["metric"],
        "cases": len(pictures),
        "covered": tally.covered,
        "distinct_questions": distinct_questions,
        "cut_prompts": tally.cut_prompts,
        "images": len({image for images in pictures for image in images}),
        "adapter": means["adapter"],
        "base": means["base"],
        "blind": means.get("blind"),
        "clustered": clustered,
        "figures": figures,
        "majority": majority,
        "swapped": swapped,
        "paired": paired,
        "slices": slices,
        "floors": floors,
        "floors_passed": all_passed(floors),
    }
    preference = summarise_preferences(tally.preferences)
    if preference is not None:
        found["preference"] = preference
    return found


def find_mismatches(
    predictions: Iterable[PredictionsRow],
    cases: Sequence[Case],
    settings: LockEvaluation,
) -> Iterator[Mismatch]:
    """Every place where a row states another score or coverage than its output gives.

    Raises:
        Refused: as `evaluate`.
    """
    ordered = sorted(cases, key=lambda case: case.case)
    judge = Judge(settings, [case.references for case in ordered])
    rows = _aligned(predictions, [case.case for case in ordered])
    for row, case in zip(rows, ordered, strict=True):
        for run, stated in outcomes(row).items():
            verdict = judge.judge(stated, case.references)
            if stated["score"] != verdict.score:
                yield Mismatch(case.case, run, "score", str(stated["score"]), verdict.score)
            if stated["covered"] != verdict.covered:
                said, computed = str(stated["covered"]), str(verdict.covered)
                yield Mismatch(case.case, run, "covered", said, computed)


def find_impossible(
    predictions: Iterable[PredictionsRow], settings: LockEvaluation
) -> Iterator[Mismatch]:
    """Stated scores and coverage that no reference whatever could give their outputs.

    For rows whose references were withheld: an answer that was cut, that is none or that is not
    covered scores 0, a metric gives no score between 0 and its least credit, and one case judges
    equal answers alike.
    """
    judge = Judge(settings)
    for row in predictions:
        judged: dict[str, tuple[str, bool]] = {}
        for run, said in outcomes(row).items():
            score, covered, ended = said["score"], said["covered"], judge.ended(said)
            # Against itself every answer is right that can be read at all.
            readable = ended and judge.judge_text(said["output"], (said["output"],)).covered
            if covered and not readable:
                yield Mismatch(row["case"], run, "covered", str(covered), str(False))
            elif not covered and score != "0":
                yield Mismatch(row["case"], run, "score", score, "0")
            elif 0 < in_millionths(score) < judge.least_millionths:
                least = written(judge.least_millionths)
                yield Mismatch(row["case"], run, "score", score, f"0, or at least {least}")
            elif ended:
                alike = judged.setdefault(said["output"], (score, covered))
                if alike != (score, covered):
                    yield Mismatch(row["case"], run, "score", score, alike[0])


def measure_figures(
    judge: Judge, cases: Sequence[Case], answered: Mapping[Run, Sequence[str | None]]
) -> list[EvaluationFigure]:
    """What the metric says of all cases together, in each run; null where it would divide by 0."""
    metric = judge.figures
    if metric is None:
        return []
    references = [case.references for case in cases]
    found = {
        run: metric.figures(zip(said, references, strict=True))
        for run, said in answered.items()
        if said
    }

    def told(run: Run, name: str) -> str | None:
        share, whole = found[run][name] if run in found else (0, 0)
        return ratio(share, whole) if whole else None

    return [
        {
            "name": cast("EvaluationFigureName", name),
            "adapter": told("adapter", name),
            "base": told("base", name),
            "blind": told("blind", name),
        }
        for name in metric.figure_names
    ]


def measure_majority(cases: Sequence[Case], judge: Judge) -> EvaluationMajority:
    """The most frequent normalised reference (ties: first in code-point order) and its score."""
    counts = Counter(normalise(case.reference) for case in cases)
    answer = min(counts, key=lambda text: (-counts[text], text))
    scores = [judge.judge_text(answer, case.references).score_millionths for case in cases]
    mean = summarise(scores)
    return {"answer": answer, "accuracy": mean["accuracy"], "interval": mean["interval"]}


def swapped_references(cases: Sequence[Case]) -> list[References]:
    """For each case the references of the next one that asks the same, the first after the last.

    Each reference of a question is given once, so that answers which follow from the question
    alone, whatever the picture shows, earn with these references what they earn with their own.
    Questions that have one reference (normalised) tell nothing so; together they are as one.
    """
    first: dict[bytes, str] = {}
    several: set[bytes] = set()  # the questions with more than one reference
    for case in cases:
        reference = normalise(case.reference)
        if first.setdefault(case.wording, reference) != reference:
            several.add(case.wording)
    alike: dict[bytes, list[int]] = {}
    for place, case in enumerate(cases):
        alike.setdefault(case.wording if case.wording in several else b"", []).append(place)
    references: list[References] = [()] * len(cases)
    for places in alike.values():
        for place, following in zip(places, [*places[1:], places[0]], strict=True):
            references[place] = cases[following].references
    return references


def _aligned(
    predictions: Iterable[PredictionsRow], cases: Sequence[str]
) -> Iterator[PredictionsRow]:
    """The rows, held against the declared cases, which are sorted, as they are taken.

    Either all rows have a blind run or none has.
    """
    if not cases:
        raise Refused("E_EVALUATION_EMPTY", "there are no eval cases to score")
    runs: list[Run] = []
    for number, (row, case) in enumerate(zip_longest(predictions, cases), 1):
        if row is None or row["case"] != case:
            raise Refused(
                "E_PREDICTIONS_CASE",
                "the predictions are not the declared cases, each once, sorted by id",
                where=f"predictions.jsonl:{number}",
                expected=case or f"{len(cases)} rows",
                found=str(row["case"]) if row else f"{number - 1} rows",
            )
        runs = runs or list(outcomes(row))
        if list(outcomes(row)) != runs:
            raise Refused(
                "E_PREDICTIONS_RUNS",
                "some cases were answered blind and others were not",
                where=f"predictions.jsonl:{number}",
                expected=", ".join(runs),
                found=", ".join(outcomes(row)),
            )
        yield row
