"""The rows of predictions.jsonl, scored as they are written. docs/format/predictions.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, NotRequired, TypedDict

from kolm.score.cases import Case
from kolm.score.judge import Judge, Said

if TYPE_CHECKING:
    from kolm.digest import Digest
    from kolm.records.documents import (
        PredictionsRow,
        PredictionsRowOutcome,
        PredictionsRowPreference,
    )


class AnsweredRow(TypedDict):
    """A row of predictions.jsonl before it is scored."""

    case: Digest
    batch: int
    cut: int
    adapter: Said
    base: Said
    blind: Said | None
    preference: NotRequired[PredictionsRowPreference]


def score_row(row: AnsweredRow | PredictionsRow, case: Case, judge: Judge) -> PredictionsRow:
    """A prediction row with the scores and coverage that its own outputs give.

    Args:
        row: ``case``, ``batch``, ``cut`` and the three runs, scored or not.
        case: the declared case of that row.
        judge: of the lock's ``evaluation`` object and all cases.
    """

    def scored(said: Said) -> PredictionsRowOutcome:
        verdict = judge.judge(said, case.references)
        return {
            "output": said["output"],
            "tokens": said["tokens"],
            "finish": said["finish"],
            "score": verdict.score,
            "covered": verdict.covered,
        }

    made: PredictionsRow = {
        "case": row["case"],
        "batch": row["batch"],
        "cut": row["cut"],
        "adapter": scored(row["adapter"]),
        "base": scored(row["base"]),
        "blind": None if row["blind"] is None else scored(row["blind"]),
    }
    if "preference" in row:
        made["preference"] = row["preference"]
    return made
