"""Evaluate: the answers to the validation side, by which one training is chosen among several.

The folder is that of an evaluation whose cases are the captures of the validation side. Only the
adapter answers, and the frozen tower's features come from those that are kept between runs, so that
each training of a sweep finds what the first one has computed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kolm.digest import Digest
from kolm.encode.answers import Shown
from kolm.encode.kept_features import KeptFeatures
from kolm.encode.pictures import PictureReader
from kolm.encode.recording import record_tower
from kolm.evaluate.controls import answer_run
from kolm.evaluate.pictures import KeptPictures
from kolm.evaluate.plan import EvalBatch, plan_batches
from kolm.evaluate.session import EvaluationSession, open_session, read_sources
from kolm.evaluate.worker import is_spread, settle
from kolm.events import Reporter
from kolm.run import folder as files
from kolm.run.names import VALIDATED
from kolm.score.cases import build_cases
from kolm.score.judge import Judge

if TYPE_CHECKING:
    from kolm.run.documents import ValidatedRow


def validate_folder(folder: Path, reporter: Reporter) -> None:
    """Answer and judge the captures of a folder's cases, and write ``validated.jsonl``.

    Raises:
        KolmError: what the parts raise; nothing is written then.
    """
    sources = read_sources(folder)
    device = settle(folder, sources.lock)
    session = open_session(sources, device, spread=is_spread(folder))
    batches = plan_batches(session.prompts(), session.settings["batch_size"])
    pictures = _pictures(session, batches, files.read_places(folder), reporter)
    answers = answer_run(session, "adapter", batches, pictures, reporter)
    cases = sorted(build_cases(sources.captures), key=lambda case: case.case)
    judge = Judge(session.settings, [case.references for case in cases])
    rows: list[ValidatedRow] = []
    for case in cases:
        said = answers[case.case].said()
        verdict = judge.judge(said, case.references)
        rows.append(
            {
                "case": Digest(case.case),
                "output": said["output"],
                "tokens": said["tokens"],
                "finish": said["finish"],
                "score": verdict.score,
                "covered": verdict.covered,
            }
        )
    files.write_rows(folder, VALIDATED, rows)


def _pictures(
    session: EvaluationSession,
    batches: list[EvalBatch],
    places: files.Places,
    reporter: Reporter,
) -> Shown:
    lock = session.sources.lock
    if not lock["train"]["freeze"]["vision"] or places.features is None:
        return session.pictures()
    reader = PictureReader(processor=session.base.pictures, read=session.sources.blobs.read)
    table = record_tower(
        session.base.forward,
        reader,
        [prompt.example for batch in batches for prompt in batch.prompts],
        lock=lock,
        kept=KeptFeatures(places.features, places.features_bytes),
        reporter=reporter,
    )
    return KeptPictures(table, reader)
