"""The compositions: what says which of several answers is better: a metric, or a judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kolm import canonical, digest
from kolm.actions.judges import JudgeOptions, judge_items
from kolm.capture import pairing
from kolm.capture.pairing import Better, Sample
from kolm.capture.store import StoredCapture
from kolm.digest import Digest
from kolm.events import Reporter
from kolm.judging import rubric
from kolm.judging.judgements import Answer, Item
from kolm.metrics import metric_of
from kolm.metrics.metric import OfPack, References
from kolm.spec.load import metric_with_defaults

if TYPE_CHECKING:
    from kolm.records.documents import PairsJudge

JUDGE: Final = "judge"
ScoreOf = Callable[[str], Fraction | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """How answers are ranked: of each capture the score of an answer, and who says so."""

    scores: Callable[[StoredCapture], ScoreOf]
    by: dict[str, Any]
    judge: PairsJudge | None = None

    @property
    def told(self) -> str:
        """In a few characters, as a source names it."""
        if self.judge is None:
            return str(self.by["kind"])
        return f"judge:{digest.hex_of(digest.of_value(self.judge))[:7]}"


def by_metric(name: str, rows: Sequence[StoredCapture]) -> Ranking:
    """Answers held against the captures' own by a metric, with the defaults of its options.

    Args:
        name: of the metric.
        rows: the captures, all of which a metric of a pack looks at.
    """
    stated = metric_with_defaults(name)
    metric = metric_of(stated)
    if isinstance(metric, OfPack):
        metric = metric.over(references_of(row) for row in rows)

    def scores(row: StoredCapture) -> ScoreOf:
        references = references_of(row)
        return lambda text: metric.score(text, references).value

    return Ranking(scores=scores, by=stated)


def by_judge(
    rows: Sequence[StoredCapture],
    samples: Mapping[Digest, Sequence[Sample]],
    better: Better,
    judge: JudgeOptions,
    store: Path,
    into: Path,
    told: Reporter,
) -> Ranking:
    """Answers as a judge scores them; one whose reply cannot be read has no score.

    Args:
        rows: the captures.
        samples: of each by its id.
        better: whose the better answer is, so that no more is asked than is compared.
        judge: who judges.
        store: the folder of the store that holds the pictures.
        into: the folder of the store that keeps the judgements.
        told: hears how far it is.
    """
    items = []
    for row in rows:
        document = canonical.loads_canonical(row.data, where=row.id)
        reference = pairing.reference_of(document)
        for text in pairing.to_judge(samples[row.id], reference, better):
            answer: Answer = "response" if text == reference else "sample"
            items.append(Item(row.id, document, answer, text))
    found = judge_items(items, judge, store=store, beside=into, reporter=told)
    totals: dict[tuple[Digest, str], Fraction] = {
        (items[number].capture, items[number].text): Fraction(rubric.total(row["scores"]))
        for number, row in found.rows.items()
        if row["scores"] is not None
    }
    who: PairsJudge = {
        **found.judge,
        "reference": judge.reference,
        "rubric": rubric.NAME,
    }
    return Ranking(
        scores=lambda row: lambda text: totals.get((row.id, text)),
        by={"kind": JUDGE},
        judge=who,
    )


def reference_of(row: StoredCapture) -> str:
    """The capture's own answer."""
    return pairing.reference_of(canonical.loads_canonical(row.data, where=row.id))


def references_of(row: StoredCapture) -> References:
    """The capture's own answer, then its further ones."""
    return reference_of(row), *(row.capture.references or ())
