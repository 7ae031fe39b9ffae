"""Evaluate: how likely adapter and base find the two answers of cases that have a rejected one.

After a training on pairs the answers alone do not show what was learned. The cases of one batch of
answers are measured together, so a number depends on its batch and on nothing else of the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kolm import canonical
from kolm.encode.examples import Pair
from kolm.encode.likelihoods import Likelihoods
from kolm.evaluate.plan import EvalBatch
from kolm.evaluate.session import EvaluationSession
from kolm.events import Reporter
from kolm.objectives import objective_of

if TYPE_CHECKING:
    from kolm.records.documents import PredictionsRowLikelihoods, PredictionsRowPreference

Measured = dict[str, "PredictionsRowLikelihoods"]


def measure_preferences(
    session: EvaluationSession, batches: Sequence[EvalBatch], reporter: Reporter
) -> Mapping[str, PredictionsRowPreference]:
    """Both log-probabilities of each case with a rejected answer, by the case's id.

    There are none where the lock's objective does not learn from pairs, and of no case that is not
    in `batches`.
    """
    objective = objective_of(session.sources.lock["train"]["objective"])
    if not objective.PAIRED:
        return {}
    asked = {prompt.case for batch in batches for prompt in batch.prompts}
    pairs: dict[str, Pair] = {
        case: session.encoder.encode_answers(capture)
        for case, capture in session.sources.captures
        if "rejected" in capture and case in asked
    }
    found: dict[str, Measured] = {}
    for run in ("adapter", "base") if pairs else ():
        pictures = session.pictures()
        with session.run(run):
            likelihoods = Likelihoods(objective, session.base, pictures.gather)
            found[run] = _measure(likelihoods, run, batches, pairs, reporter)
    return {
        case: {"adapter": found["adapter"][case], "base": found["base"][case]} for case in pairs
    }


def _measure(
    likelihoods: Likelihoods,
    run: str,
    batches: Sequence[EvalBatch],
    pairs: Mapping[str, Pair],
    reporter: Reporter,
) -> Measured:
    import torch

    stage = f"prefer {run}"
    reporter.started(stage, len(pairs), "cases")
    found: Measured = {}
    for batch in batches:
        cases = [prompt.case for prompt in batch.prompts if prompt.case in pairs]
        if not cases:
            continue
        with torch.no_grad():
            answers = likelihoods.of_pairs([pairs[case] for case in cases])[0].tolist()
        count = len(cases)
        for case, a, b in zip(cases, answers[:count], answers[count:], strict=True):
            found[case] = {"chosen": canonical.decimal(a), "rejected": canonical.decimal(b)}
        reporter.advanced(stage, len(found))
    reporter.finished(stage)
    return found
