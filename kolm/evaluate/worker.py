"""Evaluate: what the child process does in a run folder (`session.py` says what that holds).

It leaves `predictions.jsonl`, scored, and `measurements.json`, each written whole or not at all.
The parent sets threads and the like in the environment before the process starts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kolm import canonical
from kolm.counting import counted
from kolm.digest import Digest
from kolm.evaluate.controls import answer_all
from kolm.evaluate.latency import Latency, machine_memory_bytes, measure_latency
from kolm.evaluate.partial import Answers
from kolm.evaluate.plan import EvalBatch, plan_batches
from kolm.evaluate.preference import measure_preferences
from kolm.evaluate.session import EvaluationSession, Sources, open_session, read_sources
from kolm.events import Reporter
from kolm.format.names import PREDICTIONS
from kolm.models import device as devices
from kolm.run import folder as files
from kolm.run.names import MEASUREMENTS
from kolm.score.cases import build_cases
from kolm.score.judge import Judge
from kolm.score.predictions import score_row
from kolm.sign.predicates import instant

if TYPE_CHECKING:
    from kolm.records.documents import Lock, PredictionsRow, PredictionsRowPreference
    from kolm.run.documents import Measurements
    from kolm.score.predictions import AnsweredRow


def evaluate_folder(folder: Path, reporter: Reporter) -> None:
    """Answer every case of a run folder in all runs, score the answers, time single calls.

    Raises:
        KolmError: what the parts raise; nothing is written then but finished runs.
    """
    sources = read_sources(folder)
    device = settle(folder, sources.lock)
    session = open_session(sources, device, spread=is_spread(folder))
    batches = plan_batches(session.prompts(), session.settings["batch_size"])
    begin = time.perf_counter()
    answers = answer_all(session, batches, folder, reporter)
    wall_seconds = time.perf_counter() - begin
    preferences = measure_preferences(session, batches, reporter)
    reporter.started("measure latency", None, "calls")
    latency = measure_latency(session)
    reporter.finished("measure latency", p50_us=latency.p50_us, p95_us=latency.p95_us)
    rows = prediction_rows(sources, batches, answers, preferences)
    cut = sum(row["cut"] > 0 for row in rows)
    if cut:
        reporter.warned(f"{counted(cut, 'eval prompt')} cut to fit train.max_seq_length")
    files.write_rows(folder, PREDICTIONS, rows)
    measured_on = datetime.now(UTC)  # noqa: TID251 - for the K-score claim, never for content
    facts = _measurements(session, latency, wall_seconds, measured_on, device)
    files.write_document(folder, MEASUREMENTS, facts)


def is_spread(folder: Path) -> bool:
    """Whether the base is spread over all devices: asked for, or needed to train it."""
    places = files.read_places(folder)
    return places.spread or places.processes > 1


def settle(folder: Path, lock: Lock) -> str:
    """Settle torch for a run folder; gives the device that computes.

    It is the lock's, and in a compile nothing else. Whoever answers again on another machine may
    use what is there.

    Raises:
        Lacking: ``E_MODEL_DEVICE``.
    """
    environment = lock["environment"]
    asked = files.read_places(folder).devices
    device = devices.demand(asked, "device") if asked else devices.demand((environment["device"],))
    devices.settle(device, environment["threads"])
    return device


def prediction_rows(
    sources: Sources,
    batches: Sequence[EvalBatch],
    answers: Mapping[str, Answers],
    preferences: Mapping[str, PredictionsRowPreference],
) -> list[PredictionsRow]:
    """The rows of predictions.jsonl: one a case, sorted by id, scored by kolm/score."""
    cases = sorted(build_cases(sources.captures), key=lambda case: case.case)
    judge = Judge(sources.lock["evaluation"], [case.references for case in cases])
    prompts = {p.case: (b.number, p.example.cut_tokens) for b in batches for p in b.prompts}
    rows = []
    for case in cases:
        number, cut = prompts[case.case]
        row: AnsweredRow = {
            "case": Digest(case.case),
            "batch": number,
            "cut": cut,
            "adapter": answers["adapter"][case.case].said(),
            "base": answers["base"][case.case].said(),
            "blind": answers["blind"][case.case].said() if "blind" in answers else None,
        }
        if case.case in preferences:
            row["preference"] = preferences[case.case]
        rows.append(score_row(row, case, judge))
    return rows


def _measurements(
    session: EvaluationSession,
    latency: Latency,
    wall_seconds: float,
    measured_on: datetime,
    device: str,
) -> Measurements:
    """What was measured, and on what: on this machine, which need not be the lock's."""
    return {
        "measured_on": instant(measured_on),
        "latency_calls": latency.calls,
        "p50_latency_us": latency.p50_us,
        "p95_latency_us": latency.p95_us,
        "tokens_per_call": latency.tokens_per_call,
        "wall_seconds": canonical.decimal(wall_seconds, 3),
        "machine": {
            "cpu": devices.processor()[0],
            "threads": session.sources.lock["environment"]["threads"],
            "device": device,
            "memory_bytes": machine_memory_bytes(),
        },
    }
