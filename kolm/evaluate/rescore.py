"""Evaluate: run recorded batches again, in a child process of an audit.

The run folder (as `session.py` describes it) holds the bundle's `predictions.jsonl` as well, and in
`request.json` the cases that the auditor drew:

    {"cases": ["sha256:..."]}

The answer, `rows.json`, holds one row a drawn case and run: ``{"batch", "case", "finish", "output",
"run", "tokens"}``, and the log-probabilities of both answers of each drawn case that has two, where
the objective learned from them. Comparing it with what was recorded is the verifier's work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kolm.digest import Digest
from kolm.errors import Refused
from kolm.evaluate.controls import answer_run
from kolm.evaluate.plan import EvalBatch, plan_batches, recorded_batches
from kolm.evaluate.preference import measure_preferences
from kolm.evaluate.session import EvaluationSession, open_session, read_sources
from kolm.evaluate.worker import settle
from kolm.events import Reporter
from kolm.format.names import PREDICTIONS
from kolm.records import kinds
from kolm.run import folder as files
from kolm.run.names import REQUEST, ROWS

if TYPE_CHECKING:
    from kolm.run.documents import Rescored, RescoredRow


def rescore_folder(folder: Path, reporter: Reporter) -> None:
    """Answer the recorded batches that hold the requested cases, and write the answers.

    Raises:
        Refused: ``E_RESCORE_CASE`` for a case without a prediction; ``E_RESCORE_BATCH`` when a
            recorded batch is not the one that the rule gives, so that it cannot be shopped for.
    """
    request = files.read_document(folder, REQUEST)
    predictions = files.read_rows(folder, PREDICTIONS, kinds.PREDICTIONS_ROW)
    chosen = set(request["cases"])
    unknown = sorted(chosen - {row["case"] for row in predictions})
    if unknown:
        raise Refused("E_RESCORE_CASE", "no prediction is for this case", found=unknown[0])
    sources = read_sources(folder)
    session = open_session(sources, settle(folder, sources.lock))
    batches = check_batches(
        plan_batches(session.prompts(), session.settings["batch_size"]),
        recorded_batches(predictions, chosen),
    )
    rows = [row for name in session.runs for row in _answer(session, name, batches, reporter)]
    preferences = measure_preferences(session, batches, reporter)
    document: Rescored = {
        "rows": [row for row in rows if row["case"] in chosen],
        "preferences": {Digest(case): preferences[case] for case in chosen & preferences.keys()},
    }
    files.write_document(folder, ROWS, document)


def check_batches(
    planned: Sequence[EvalBatch], recorded: Mapping[int, Sequence[str]]
) -> list[EvalBatch]:
    """The planned batches with the recorded numbers, once both hold the same cases.

    Raises:
        Refused: ``E_RESCORE_BATCH``.
    """
    by_number = {batch.number: batch for batch in planned}
    found = []
    for number, cases in recorded.items():
        batch = by_number.get(number)
        if batch is None or {prompt.case for prompt in batch.prompts} != set(cases):
            raise Refused(
                "E_RESCORE_BATCH",
                "the recorded batch does not have the cases that the rule puts there",
                where=f"{PREDICTIONS}, batch {number}",
            )
        found.append(batch)
    return found


def _answer(
    session: EvaluationSession, name: str, batches: Sequence[EvalBatch], reporter: Reporter
) -> list[RescoredRow]:
    pictures = session.pictures(blind=name == "blind")
    with session.run(name):
        answers = answer_run(session, name, batches, pictures, reporter)
    return [
        {
            "batch": batch.number,
            "case": Digest(prompt.case),
            "run": name,
            **answers[prompt.case].said(),
        }
        for batch in batches
        for prompt in batch.prompts
    ]
