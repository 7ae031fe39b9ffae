"""Scoring: a bundle beside somebody else who answered the same cases.

Another base, or a model behind an endpoint. The metric, the cases and the paired test are those of
the evaluation itself; docs/format/kscore.md, K9.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, cast

from kolm.score import clusters
from kolm.score.cases import Case
from kolm.score.intervals import summarise
from kolm.score.judge import Judge
from kolm.score.paired import compare, method_of, p_millionths
from kolm.score.rounding import in_millionths, ratio, written

if TYPE_CHECKING:
    from kolm.digest import Digest
    from kolm.records.documents import (
        EvaluationFigureName,
        KscoreRival,
        KscoreRivalWho,
        LockEvaluation,
        PredictionsRow,
    )
    from kolm.score.judge import Said


def measure_rival(
    who: KscoreRivalWho,
    said: Mapping[str, Said],
    predictions: Iterable[PredictionsRow],
    cases: Sequence[Case],
    settings: LockEvaluation,
    *,
    answers: Digest,
) -> KscoreRival:
    """How the rival does on the cases, and in how many it or the bundle does better.

    Args:
        who: answered.
        said: its answer to every case.
        predictions: the bundle's own, scored.
        cases: all of them.
        settings: the lock's ``evaluation`` object.
        answers: digest of the file of its answers.
    """
    own: dict[str, int] = {
        row["case"]: in_millionths(row["adapter"]["score"]) for row in predictions
    }
    ordered = sorted(cases, key=lambda case: case.case)
    judge = Judge(settings, [case.references for case in ordered])
    verdicts = [judge.judge(said[case.case], case.references) for case in ordered]
    scores = [verdict.score_millionths for verdict in verdicts]
    mean = summarise(scores)
    paired = compare([own[case.case] for case in ordered], scores, binary=judge.binary)
    together = clusters.measure(
        {"adapter": scores, "base": scores, "blind": []}, [case.images for case in ordered]
    )
    figures = (
        {}
        if judge.figures is None
        else judge.figures.figures(
            (said[case.case]["output"] if verdict.covered else None, case.references)
            for case, verdict in zip(ordered, verdicts, strict=True)
        )
    )
    return {
        "who": who,
        "answers": answers,
        "cases": len(ordered),
        "covered": sum(verdict.covered for verdict in verdicts),
        "accuracy": mean["accuracy"],
        "interval": mean["interval"],
        "clustered": together["adapter"],
        "figures": [
            {
                "name": cast("EvaluationFigureName", name),
                "value": ratio(share, whole) if whole else None,
            }
            for name, (share, whole) in figures.items()
        ],
        "paired": {
            "bundle_only": paired["adapter_only"],
            "rival_only": paired["base_only"],
            "p": paired["p"],
            "method": paired["method"],
        },
    }


def what_cannot_be(
    rival: KscoreRival, accuracy: str, settings: LockEvaluation
) -> Iterator[tuple[str, str, str]]:
    """What of a stated comparison contradicts the rest: the field, what follows, what is stated.

    Args:
        rival: as the claim states it.
        accuracy: the bundle's, as the same claim states it.
        settings: the lock's ``evaluation`` object.
    """
    cases, paired, binary = rival["cases"], rival["paired"], Judge(settings).binary
    if rival["covered"] > cases:
        yield "covered", f"at most {cases}", str(rival["covered"])
    one, other = paired["bundle_only"], paired["rival_only"]
    if one + other > cases:
        yield "paired", f"at most {cases} cases", f"{one} and {other}"
        return
    p = written(p_millionths(one, other))
    if paired["p"] != p:
        yield "paired/p", p, paired["p"]
    if paired["method"] != method_of(binary=binary):
        yield "paired/method", method_of(binary=binary), paired["method"]
    own, mean = Decimal(accuracy), Decimal(rival["accuracy"])
    for name, around in (("interval", rival["interval"]), ("clustered", rival["clustered"])):
        if not Decimal(around["low"]) <= mean <= Decimal(around["high"]):
            yield name, f"around {mean}", f"{around['low']} to {around['high']}"
    apart = (own - mean) * cases  # both are rounded to six places
    if binary and abs(apart - (one - other)) > Decimal(cases).scaleb(-6):
        yield (
            "paired",
            f"{apart.normalize():f} more cases that only the bundle wins",
            f"{one - other}",
        )
