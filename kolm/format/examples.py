"""Format: examples.jsonl: what became of each capture that a run could learn from.

The data order, the label counts of the trace and the receipt's counts of dropped and cut captures
follow from it. Rules X1 to X9 of docs/format/examples.md.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from kolm.errors import Refused
from kolm.format.names import EXAMPLES
from kolm.objectives import Objective, objective_of
from kolm.records.sides import LEARNED

if TYPE_CHECKING:
    from kolm.records.documents import (
        ExamplesRow,
        ExamplesRowKept,
        ExamplesRowSide,
        LockTrain,
        SnapshotRow,
    )

TOO_MANY_IMAGES: Final = "too_many_images"
SAME_ANSWERS: Final = "same_answers"
_NO_ANSWER: Final = {"labels": 0, "tokens": 0}


class Lengths(NamedTuple):
    """The captures of a side that can be learned from, by column: there may be 700,000.

    Attributes:
        positions: 0-based numbers among the snapshot's lines of the side.
        tokens: of the conversation, or of that with the chosen answer.
        labels: how many of them are learned.
        pictures: how many of them stand for features of pictures.
        other_tokens: of the conversation with the rejected answer; 0 without one.
        other_labels: how many of those are learned.
    """

    positions: array[int]
    tokens: array[int]
    labels: array[int]
    pictures: array[int]
    other_tokens: array[int]
    other_labels: array[int]

    @classmethod
    def none(cls) -> Self:
        """Those of no capture."""
        return cls(*(array("I") for _ in cls._fields))

    def take(self, row: ExamplesRow, position: int) -> None:
        """Add those of the capture at a position, if it can be used."""
        if "dropped" in row:
            return
        other = row.get("rejected", _NO_ANSWER)
        self.positions.append(position)
        self.tokens.append(row["tokens"])
        self.labels.append(row["labels"])
        self.pictures.append(row.get("image_tokens", 0))
        self.other_tokens.append(other["tokens"])
        self.other_labels.append(other["labels"])

    @property
    def ordered_by(self) -> array[int]:
        """The lengths by which the data are ordered: of the longer conversation of a pair."""
        return array("I", map(max, self.tokens, self.other_tokens))

    def learned(self, numbers: Iterable[int]) -> int:
        """How many labels some of the captures have, in both answers of a pair."""
        return sum(self.labels[n] + self.other_labels[n] for n in numbers)


class Losses(NamedTuple):
    """What the train side lost on its way into training.

    Attributes:
        dropped: captures that cannot be used.
        cut: captures whose prompt was shortened.
    """

    dropped: int
    cut: int


def lengths_of(rows: Iterable[ExamplesRow]) -> dict[ExamplesRowSide, Lengths]:
    """The captures of each of `LEARNED` that can be used, in the order of the snapshot."""
    sides: dict[ExamplesRowSide, Lengths] = {side: Lengths.none() for side in LEARNED}
    count = dict.fromkeys(LEARNED, 0)
    for row in rows:
        side = row["side"]
        sides[side].take(row, count[side])
        count[side] += 1
    return sides


def next_pair(number: int, count: int) -> int:
    """The number of the example whose answer counts as unrelated to that of another one's prompt,
    among `count` of a side that can be used."""
    return (number + 1) % count


def losses(rows: Iterable[ExamplesRow]) -> Losses:
    """The receipt's counts of the train side."""
    dropped = cut = 0
    for row in rows:
        if row["side"] == "train":
            dropped += "dropped" in row
            cut += "dropped" not in row and row["cut"] > 0
    return Losses(dropped=dropped, cut=cut)


def examples_follow(
    rows: Iterable[ExamplesRow], snapshot: Iterable[SnapshotRow], train: LockTrain
) -> Iterator[Refused]:
    """Hold the rows against the snapshot's lines and the lock's training block.

    Tokens and labels themselves are stated by whoever trained; that they are possible, that every
    line has its row, and that too many images are the reason where they are, is recomputed.

    Args:
        rows: of examples.jsonl, each fitting its schema.
        snapshot: the lines of snapshot.jsonl.
        train: the lock's ``train``.
    """
    objective = objective_of(train["objective"])
    images: dict[str, list[int]] = {side: [] for side in LEARNED}
    for line in snapshot:
        if line["split"] in images:
            images[line["split"]].append(len(line["images"]))
    due = ((side, count) for side in LEARNED for count in images[side])
    for number, (row, capture) in enumerate(zip_longest(rows, due), start=1):
        place = f"{EXAMPLES}:{number}"
        if row is None or capture is None or row["side"] != capture[0]:
            yield _refused(
                place,
                "examples.jsonl does not have one row for each capture to train on",
                expected=capture[0] if capture else "no row",
                found=row["side"] if row else "no row",
            )
            return
        yield from _row_is_possible(row, capture[1], train, objective, place)


def _row_is_possible(
    row: ExamplesRow, images: int, train: LockTrain, objective: Objective, place: str
) -> Iterator[Refused]:
    most, paired = train["max_images"], objective.PAIRED
    reason = row.get("dropped")
    if (images > most) != (reason == TOO_MANY_IMAGES):
        yield _refused(
            place,
            "a capture is dropped for too many images if, and only if, it has more than max_images",
            expected=f"at most {most} images, or dropped as {TOO_MANY_IMAGES}",
            found=f"{images} images, {reason or 'not dropped'}",
        )
    if "dropped" in row:
        if reason == SAME_ANSWERS and not paired:
            yield _refused(
                place,
                "a capture is dropped for its two answers by an objective that reads one",
                expected="another reason",
                found=SAME_ANSWERS,
            )
        return
    yield from _lengths_are_possible(row["tokens"], row["labels"], train, place)
    yield from _image_tokens_are_possible(row, images, place)
    yield from _corrections_are_possible(row, objective.match_tokens is not None, place)
    other = row.get("rejected")
    if (other is None) == paired:
        yield _refused(
            place,
            "a row has a rejected answer if, and only if, the objective learns from pairs",
            expected="rejected" if paired else "no rejected",
            found="no rejected" if paired else "rejected",
        )
    elif other is not None:
        inside = f"{place}#/rejected"
        yield from _lengths_are_possible(other["tokens"], other["labels"], train, inside)
        if row["tokens"] - row["labels"] != other["tokens"] - other["labels"]:
            yield _refused(
                inside,
                "the two answers of a pair do not follow one prompt",
                expected=f"{row['tokens'] - row['labels']} tokens beside the labels",
                found=str(other["tokens"] - other["labels"]),
            )


def _image_tokens_are_possible(row: ExamplesRowKept, images: int, place: str) -> Iterator[Refused]:
    """At least one for each picture, and none of them is learned."""
    found, most = row.get("image_tokens", 0), row["tokens"] - row["labels"]
    if (found > 0) != (images > 0) or not images <= found <= most:
        yield _refused(
            f"{place}#/image_tokens",
            "the tokens of pictures are not those of a capture that shows as many",
            expected=f"{images} to {most}" if images else "none",
            found=str(found or "none"),
        )


def _corrections_are_possible(row: ExamplesRowKept, counted: bool, place: str) -> Iterator[Refused]:
    """Corrected labels are counted where they weigh otherwise, and are fewer than all."""
    for inside, side in ((place, row), (f"{place}#/rejected", row.get("rejected"))):
        if side is None:
            continue
        found = side.get("corrected")
        if (found is not None) != counted:
            yield _refused(
                inside,
                "corrected labels are counted if, and only if, the objective weighs them otherwise",
                expected="corrected" if counted else "no corrected",
                found="corrected" if found is not None else "no corrected",
            )
        elif found is not None and found >= side["labels"]:
            yield _refused(
                inside,
                "an answer's end is never corrected",
                expected=f"fewer than {side['labels']}",
                found=str(found),
            )


def _lengths_are_possible(
    tokens: int, labels: int, train: LockTrain, place: str
) -> Iterator[Refused]:
    longest = train["max_seq_length"]
    inside = "" if "#" in place else "#"
    if tokens > longest:
        yield _refused(
            f"{place}{inside}/tokens",
            "an example is longer than the lock allows",
            expected=f"at most {longest}",
            found=str(tokens),
        )
    if labels >= tokens:
        yield _refused(
            f"{place}{inside}/labels",
            "an example has no token before its labels",
            expected=f"below {tokens}",
            found=str(labels),
        )


def _refused(where: str, message: str, *, expected: str, found: str) -> Refused:
    return Refused("E_BUNDLE_REFERENCE", message, where=where, expected=expected, found=found)
