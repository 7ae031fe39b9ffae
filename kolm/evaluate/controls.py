"""Evaluate: the three runs over all cases: the adapter, its base, and the adapter blind.

The base shows what training bought. The blind run, where every picture is a uniform grey one of its
size, shows that the pictures are used; a base that takes no pictures has none. The majority answer
needs no model; kolm/score computes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kolm.encode.answers import Shown
from kolm.evaluate.partial import Answers, load_partial, save_partial
from kolm.evaluate.pictures import RecordedPictures
from kolm.evaluate.plan import EvalBatch
from kolm.evaluate.session import EvaluationSession
from kolm.events import Reporter


def answer_all(
    session: EvaluationSession, batches: Sequence[EvalBatch], folder: Path, reporter: Reporter
) -> dict[str, Answers]:
    """The answers of all runs; a run that `folder` already holds finished is not repeated."""
    seen: RecordedPictures | None = None
    # Without a trained tower the adapter and the base see the same features.
    shared = session.sources.lock["train"]["freeze"]["vision"] is not False
    answers: dict[str, Answers] = {}
    for run in session.runs:
        found = load_partial(folder, run, session.sources.identity)
        if found is not None:
            reporter.noted(f"{run}: {len(found)} answers were already there")
            answers[run] = found
            continue
        blind = run == "blind"
        pictures = session.pictures(blind=blind) if blind or seen is None else seen
        if shared and not blind:
            seen = pictures
        with session.run(run):
            answers[run] = answer_run(session, run, batches, pictures, reporter)
        save_partial(folder, run, session.sources.identity, answers[run])
    return answers


def answer_run(
    session: EvaluationSession,
    run: str,
    batches: Sequence[EvalBatch],
    pictures: Shown,
    reporter: Reporter,
) -> Answers:
    """Answer all batches in the model's present state."""
    stage = f"evaluate {run}"
    reporter.started(stage, sum(len(batch.prompts) for batch in batches), "cases")
    answers: Answers = {}
    for batch in batches:
        examples = [prompt.example for prompt in batch.prompts]
        for prompt, answer in zip(batch.prompts, session.answer(examples, pictures), strict=True):
            answers[prompt.case] = answer
        reporter.advanced(stage, len(answers))
    reporter.finished(stage)
    return answers
