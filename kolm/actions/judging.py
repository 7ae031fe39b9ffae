"""The compositions: answers judged by a model here or behind an endpoint, and filtered."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kolm import canonical
from kolm.actions.judges import Found, JudgeOptions, demand_other_store, judge_items
from kolm.capture.rules import text_of
from kolm.capture.store import CaptureStore, StoredCapture
from kolm.digest import Digest
from kolm.errors import Refused, Usage
from kolm.events import Reporter, Silent
from kolm.judging import agreement, rubric
from kolm.judging.judgements import Item, read_labels
from kolm.score.rounding import ratio

if TYPE_CHECKING:
    from kolm.records.answers import CaptureJudgeAgreement, CaptureJudgePreferred

Labels = Mapping[tuple[Digest, str], Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the judgement of a store gave.

    Attributes:
        found: of judging.
        answers: how many there were.
        unread: replies that could not be read.
        means: the mean of each criterion over the captures' own answers; None without any.
        below: captures below the floor; None without one.
        kept: captures that were put into another store; None where none was named.
        agreement: with labels, by criterion; None without labels.
        preferred: of pairs, how often the better answer is; None without pairs.
    """

    found: Found
    answers: int
    unread: int
    means: Mapping[str, str] | None
    below: int | None
    kept: int | None
    agreement: Mapping[str, CaptureJudgeAgreement] | None
    preferred: CaptureJudgePreferred | None


def judge_captures(
    store: str | Path,
    *,
    judge: JudgeOptions,
    rejected: bool = False,
    floor: int | None = None,
    into: str | Path | None = None,
    labels: str | Path | None = None,
    tags: Collection[str] = (),
    reporter: Reporter | None = None,
) -> Judged:
    """Score the answers of a store, and keep every judgement beside the captures.

    Args:
        store: its folder.
        judge: who judges.
        rejected: judge rejected answers too, and count how often the better one is preferred.
        floor: the lowest score that a capture's answer may have in any criterion.
        into: the folder of another store, which gets the captures that reach the floor.
        labels: JSON Lines of people's scores, which the judge is measured against.
        tags: only captures with all of these.
        reporter: hears how far it is.

    Raises:
        Usage: what is asked for makes no sense.
        Network: the endpoint fails, or the network is forbidden. What was judged is kept.
        KolmError: the store, the labels or the model cannot be read.
    """
    told, place = reporter or Silent(), Path(store)
    if floor is not None and not rubric.LEAST <= floor <= rubric.MOST:
        raise Usage("E_JUDGE_OPTION", "a floor is a whole number from 1 to 5", found=str(floor))
    if into is not None and floor is None:
        raise Usage("E_JUDGE_OPTION", "--into needs the floor that captures must reach")
    demand_other_store(place, into)
    with CaptureStore.open_to_read(place) as opened:
        rows = list(opened.rows(tags=tags))
        stated = _labels(labels, opened, rows)
        items = list(_items(rows, rejected=rejected))
        if not items:
            raise Refused("E_SNAPSHOT_EMPTY", "the store holds no such captures", where=str(store))
        found = judge_items(items, judge, store=place, beside=place, reporter=told)
        reached = {
            items[number].capture
            for number, row in found.rows.items()
            if items[number].answer == "response" and row["scores"] is not None
            if floor is not None and rubric.lowest(row["scores"]) >= floor
        }
        kept = None if into is None else _keep(opened, rows, reached, Path(into))
    return Judged(
        found=found,
        answers=len(items),
        unread=sum(row["scores"] is None for row in found.rows.values()),
        means=_means(items, found),
        below=None if floor is None else len(rows) - len(reached),
        kept=kept,
        agreement=None if labels is None else _agreement(items, found, stated),
        preferred=_preferred(items, found) if rejected else None,
    )


def _items(rows: Sequence[StoredCapture], *, rejected: bool) -> Iterator[Item]:
    for row in rows:
        document = canonical.loads_canonical(row.data, where=row.id)
        yield Item(row.id, document, "response", text_of(document["messages"][-1]))
        if rejected and row.capture.rejected is not None:
            yield Item(row.id, document, "rejected", row.capture.rejected)


def _labels(
    labels: str | Path | None, opened: CaptureStore, rows: Sequence[StoredCapture]
) -> Labels:
    if labels is None:
        return {}
    ids = {row.id for row in rows}
    called = {place: name for name, place in opened.names().items() if name in ids}
    return read_labels(Path(labels), {**called, **{str(name): name for name in ids}})


def _means(items: Sequence[Item], found: Found) -> dict[str, str] | None:
    scores = [
        row["scores"]
        for number, row in found.rows.items()
        if items[number].answer == "response" and row["scores"] is not None
    ]
    if not scores:
        return None
    return {
        name: ratio(sum(rubric.by_criterion(one)[name] for one in scores), len(scores))
        for name in rubric.CRITERIA
    }


def _agreement(
    items: Sequence[Item], found: Found, labels: Labels
) -> dict[str, CaptureJudgeAgreement]:
    pairs: dict[str, list[agreement.Pair]] = {name: [] for name in rubric.CRITERIA}
    for number, row in found.rows.items():
        stated = labels.get((items[number].capture, items[number].answer), {})
        for name, person in stated.items():
            if row["scores"] is not None:
                pairs[name].append((rubric.by_criterion(row["scores"])[name], person))
    return {name: agreement.agreement(both) for name, both in pairs.items() if both}


def _preferred(items: Sequence[Item], found: Found) -> CaptureJudgePreferred | None:
    totals = {
        (items[number].capture, items[number].answer): rubric.total(row["scores"])
        for number, row in found.rows.items()
        if row["scores"] is not None
    }
    both = [
        (total, totals[capture, "rejected"])
        for (capture, answer), total in totals.items()
        if answer == "response" and (capture, "rejected") in totals
    ]
    return agreement.preferred(both) if both else None


def _keep(
    opened: CaptureStore, rows: Sequence[StoredCapture], wanted: Collection[Digest], into: Path
) -> int:
    """Put captures into another store as they are, and give how many it holds of them."""
    names = opened.names()
    with CaptureStore.open(into, create=True) as other, other.adding() as addition:
        kept = [row for row in rows if row.id in wanted]
        for row in kept:
            for image in row.capture.images:
                addition.image(opened.read_image(image.file), where=image.file)
            addition.capture(row.capture, where=row.id, origin=names.get(row.id))
        addition.commit()
    return len(kept)
