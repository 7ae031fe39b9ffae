"""Evaluate: run recorded batches again: ``python -m kolm.evaluate.rescore REQUEST.json``.

A child process of an audit. The request names a run folder (as `session.py` describes it, with the
bundle's `predictions.jsonl` in it), the cases that the auditor drew, and where to write:

    {"cases": ["sha256:..."], "latency": true, "output": "/tmp/rows.json",
     "run_folder": "/tmp/bundle", "runs": ["adapter"]}

The output holds one row a drawn case and run: ``{"batch", "case", "finish", "output", "run",
"tokens"}``. Comparing it with what was recorded is the verifier's work.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kolm import canonical, paths, schema, system
from kolm.errors import KolmError, Refused, Usage
from kolm.evaluate.controls import answer_run
from kolm.evaluate.latency import measure_latency
from kolm.evaluate.plan import EvalBatch, plan_batches, recorded_batches
from kolm.evaluate.session import Session, open_session, read, read_sources
from kolm.evaluate.worker import FAILED, fix_execution
from kolm.events import JsonLines, Reporter
from kolm.score.evaluation import RUNS

KEYS = frozenset({"cases", "latency", "output", "run_folder", "runs"})


def run(argv: Sequence[str]) -> int:
    """Run the child; the exit code is 0, or 1 after an error was reported as an event."""
    reporter = JsonLines(sys.stdout)
    try:
        if len(argv) != 1:
            raise Usage("E_EVALUATE_ARGUMENTS", "one argument is wanted: the request's file")
        path = Path(argv[0])
        request = canonical.loads(read(path.parent, path.name), where=path.name)
        _check_request(request, path.name)
        # What a library prints must not end up among the events.
        with contextlib.redirect_stdout(sys.stderr):
            rescore(request, reporter)
    except KolmError as error:
        reporter.failed(error)
        return FAILED
    except (OSError, MemoryError) as error:
        reporter.failed(system.error_of(error))
        return FAILED
    return 0


def rescore(request: Mapping[str, Any], reporter: Reporter) -> None:
    """Answer the recorded batches that hold the requested cases, and write the answers.

    Raises:
        Refused: ``E_RESCORE_CASE`` for a case without a prediction; ``E_RESCORE_BATCH`` when a
            recorded batch is not the one that the rule gives, so that it cannot be shopped for.
    """
    folder = Path(request["run_folder"])
    predictions = read_predictions(folder)
    chosen = set(request["cases"])
    unknown = sorted(chosen - {row["case"] for row in predictions})
    if unknown:
        raise Refused("E_RESCORE_CASE", "no prediction is for this case", found=unknown[0])
    sources = read_sources(folder)
    fix_execution(sources.lock["environment"]["threads"])
    session = open_session(sources)
    batches = check_batches(
        plan_batches(session.prompts(), session.settings["batch_size"]),
        recorded_batches(predictions, chosen),
    )
    rows = [row for name in request["runs"] for row in _answer(session, name, batches, reporter)]
    document: dict[str, Any] = {"rows": [row for row in rows if row["case"] in chosen]}
    if request["latency"]:
        document["latency"] = asdict(measure_latency(session))
    paths.atomic_write(Path(request["output"]), canonical.dumps(document))


def read_predictions(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run folder's predictions.jsonl.

    Raises:
        Unreadable: the file is missing.
        Refused: a row does not fit its schema.
    """
    rows = []
    data = read(folder, "predictions.jsonl")
    for number, _, row in canonical.read_lines(data, where="predictions.jsonl"):
        schema.check("predictions_row", row, where=f"predictions.jsonl:{number}")
        rows.append(row)
    return rows


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
                "the recorded batch is not the one that the rule gives",
                where=f"predictions.jsonl, batch {number}",
            )
        found.append(batch)
    return found


def _answer(
    session: Session, name: str, batches: Sequence[EvalBatch], reporter: Reporter
) -> list[dict[str, Any]]:
    pictures = session.pictures(blind=name == "blind")
    with session.run(name):
        answers = answer_run(session, name, batches, pictures, reporter)
    return [
        {"batch": batch.number, "case": prompt.case, "run": name, **asdict(answers[prompt.case])}
        for batch in batches
        for prompt in batch.prompts
    ]


def _check_request(request: Any, where: str) -> None:
    if (
        not isinstance(request, dict)
        or request.keys() != KEYS
        or not set(request["runs"]) <= {*RUNS}
    ):
        raise Usage(
            "E_RESCORE_REQUEST",
            "the request is not as described",
            where=where,
            expected=", ".join(sorted(KEYS)) + "; runs of " + ", ".join(RUNS),
        )


if __name__ == "__main__":
    raise SystemExit(run(sys.argv[1:]))
