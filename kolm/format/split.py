"""The format: which side each capture is on. Pure functions over ids and image digests.

Captures that share an image form a group, and a group is on one side. The order in which groups
are held out is drawn from the ids of all captures: it depends on the captures and on nothing else,
neither on the order of adding nor on a seed. Who changes a capture draws anew; what that allows,
and the rules, are docs/format/snapshot.md, S4 to S9.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, NamedTuple, Self, cast

from kolm.counting import counted
from kolm.digest import Digest, raw_of, raw_of_bytes
from kolm.errors import Refused, Usage
from kolm.format.groups import MAX_JOINED, Captures, Groups, Member, group
from kolm.format.pictures import LOOKS, NONE, ONE_SIDE, SIDES
from kolm.records.sides import LEARNED, NO_SIDE, Placed, Split

if TYPE_CHECKING:
    from kolm.records.documents import Snapshot, SnapshotNearDuplicatesPolicy


POLICIES = ("refuse", "report", "drop", "group")
_MOST_NAMED = 20  # captures or images that one error names
MAX_SHARE = Decimal("0.9")  # of one held-out side: more leaves nothing to train on


class _Rule(NamedTuple):
    kind: str
    eval: Decimal
    validation: Decimal
    near_duplicates: str | None
    nonce: str | None


class SplitRule(_Rule):
    """How captures are put on sides.

    Attributes:
        kind: ``official``: every capture states its side; ``hash``: by rank of its group.
        eval: share of captures held out for scoring; only for ``hash``.
        validation: share of captures (``hash``) or of train captures (``official``, and only when
            none states the side validation) held out for early stopping.
        near_duplicates: ``refuse`` eval images with a near twin in train or validation,
            ``report`` them, ``drop`` the captures there that show one, or ``group`` near twins as
            one picture (only for ``hash``); None: refuse for ``hash``, report for ``official``,
            which somebody else has chosen.
        nonce: of the request that is answered, 64 hexadecimal digits: the draw follows from it too.
    """

    __slots__ = ()

    def __new__(
        cls,
        kind: str = "official",
        eval: Decimal = Decimal("0.1"),  # noqa: A002 - the name in the snapshot's header
        validation: Decimal = Decimal("0.05"),
        near_duplicates: str | None = None,
        nonce: str | None = None,
    ) -> Self:
        """A rule that makes sense.

        Raises:
            Usage: it does not.
        """
        made = super().__new__(cls, kind, eval, validation, near_duplicates, nonce)
        made._demand_sense()
        return made

    def _demand_sense(self) -> None:
        if self.kind not in ("official", "hash"):
            raise _rule("a split must be official or hash", self.kind)
        if self.near_duplicates not in (*POLICIES, None):
            told = f"near_duplicates must be one of {', '.join(POLICIES)}"
            raise _rule(told, str(self.near_duplicates))
        if self.near_duplicates == "group" and self.kind != "hash":
            told = "near twins are grouped only in a split by hash; an official one stays as stated"
            raise _rule(told, "group", "use drop, or let kolm split: data.split: {eval: 0.2}")
        for name, share in (("eval", self.eval), ("validation", self.validation)):
            if not 0 <= share <= MAX_SHARE or share != round(share, 6):
                raise _rule(
                    f"the share of {name} must be 0 to {MAX_SHARE}, with at most six decimals",
                    str(share),
                )
        if self.kind == "hash" and self.eval == 0:
            raise _rule("a hash split must hold out captures for eval", "0")

    @property
    def policy(self) -> SnapshotNearDuplicatesPolicy:
        """What happens about near twins."""
        chosen = self.near_duplicates or ("refuse" if self.kind == "hash" else "report")
        return cast("SnapshotNearDuplicatesPolicy", chosen)


def share(text: str) -> Decimal:
    """A share from its text, such as ``0.1``.

    Raises:
        Usage: not a decimal number.
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise _rule("a share must be a decimal number", text) from None
    if not value.is_finite():
        raise _rule("a share must be a decimal number", text)
    return value


def rule_of(header: Snapshot) -> SplitRule:
    """The rule that a snapshot's header states.

    Raises:
        Usage: it makes no sense.
    """
    rule = header["rule"]
    held_out = {"eval": Decimal(rule["eval"])} if rule["kind"] == "hash" else {}
    return SplitRule(
        kind=rule["kind"],
        validation=Decimal(rule["validation"]),
        near_duplicates=header["near_duplicates"]["policy"],
        nonce=rule.get("nonce"),
        **held_out,
    )


def assign(captures: Captures, rule: SplitRule) -> list[Placed]:
    """The side of every capture, in the order in which they were given, before near twins are
    dropped.

    Raises:
        Refused: an official split that is not stated or has an image on two sides, or a side that
            would be empty.
    """
    placed = _official(captures, rule) if rule.kind == "official" else _hashed(captures, rule)
    sides = captures.as_given(placed)
    demand_sides(sides)
    return sides


def demand_sides(placed: Sequence[Placed]) -> None:
    """Demand captures to train on and captures to score.

    Raises:
        Refused: ``E_SNAPSHOT_EMPTY_SIDE``.
    """
    for side in ("train", "eval"):
        if side not in placed:
            out = placed.count(NO_SIDE)
            raise Refused(
                "E_SNAPSHOT_EMPTY_SIDE",
                f"the side {side} would have no captures",
                expected="captures to train on and captures to score",
                found=f"{len(placed)} captures, {out} of them left out of the split",
                hint="add captures with other images, or change the shares; captures that share an "
                f"image are on one side, and one that would join groups into more than {MAX_JOINED}"
                " captures is on none",
            )


def validation_is_stated(stated: Iterable[Split | None]) -> bool:
    """Whether an official split has its own validation side, which none is carved out for then."""
    return "validation" in stated


def twins_to_drop(
    members: Sequence[Member], sides: Mapping[Digest, Placed], near: Collection[Digest]
) -> list[Digest]:
    """The train and validation captures that the policy ``drop`` puts on no side.

    Args:
        members: the captures.
        sides: where they are before.
        near: the files on these sides that have a near twin on the side eval.
    """
    return [
        member.id
        for member in members
        if sides[member.id] in LEARNED and any(looks[0] in near for looks in member.images)
    ]


def _ranked(captures: Captures, firsts: Iterable[int], nonce: str | None) -> array[int]:
    """The first captures of groups in the order in which groups are held out (rule S6).

    Sorted by the first byte of their rank and then among themselves: a sort of all at once would
    hold an object for the rank of each.
    """
    seed = raw_of(captures.seed(nonce))
    parts = [(array("I"), bytearray()) for _ in range(256)]
    for first in firsts:
        rank = raw_of_bytes(seed + raw_of(captures.id_of(first)))
        places, ranks = parts[rank[0]]
        places.append(first)
        ranks += rank
    ordered = array("I")
    for places, ranks in parts:
        each = [bytes(ranks[32 * n : 32 * n + 32]) for n in range(len(places))]
        ordered.extend(first for _, first in sorted(zip(each, places, strict=True)))
    return ordered


def _hashed(captures: Captures, rule: SplitRule) -> list[Placed]:
    groups = group(captures, most_joined=MAX_JOINED)
    count = sum(groups.size)
    ranked = _ranked(captures, groups.firsts(), rule.nonce)
    sides: list[Placed] = ["train"] * len(captures)  # of the first capture of each group
    wanted: list[tuple[Placed, Decimal]] = [("eval", rule.eval), ("validation", rule.validation)]
    for side, share in wanted:
        ranked = _hold_out(ranked, groups, side, share * count, sides)
    return [
        NO_SIDE if groups.is_out(capture) else sides[first]
        for capture, first in enumerate(groups.first)
    ]


def _hold_out(
    ranked: array[int], groups: Groups, side: Placed, wanted: Decimal, sides: list[Placed]
) -> array[int]:
    """Put whole groups on a side until it has the wanted captures; gives the groups that remain.

    The last group is left to train, whatever the shares say (rule S7).
    """
    held, taken = 0, 0
    for first in ranked[:-1]:
        if held >= wanted:
            break
        held += groups.size[first]
        taken += 1
        sides[first] = side
    return ranked[taken:]


def _official(captures: Captures, rule: SplitRule) -> list[Placed]:
    sides: list[Placed] = [side for side in captures.stated if side is not None]
    if len(sides) < len(captures):
        unstated = [place for place, side in enumerate(captures.stated) if side is None]
        first = captures.id_of(unstated[0])
        raise Refused(
            "E_SNAPSHOT_NO_OFFICIAL_SPLIT",
            f"{counted(len(unstated), 'capture')} without a side, so there is no official split",
            where=f"capture {first}",
            found=first + (f" and {len(unstated) - 1} more" if unstated[1:] else ""),
            hint="state each row's split, or let kolm split: data.split: {eval: 0.2} in the spec "
            "(kolm capture snapshot: --split hash)",
        )
    _check_one_side(captures, sides)
    if validation_is_stated(captures.stated) or not rule.validation:
        return sides
    groups = group(captures, most_joined=None)
    train = (first for first in groups.firsts() if sides[first] == "train")
    carved = rule.validation * sides.count("train")
    _hold_out(_ranked(captures, train, rule.nonce), groups, "validation", carved, sides)
    return [sides[first] for first in groups.first]


class _Crossing(NamedTuple):
    """An image on two sides, and the two captures that show it there."""

    image: int
    kind: int
    captures: tuple[int, int]


def _check_one_side(captures: Captures, sides: list[Placed]) -> None:
    """Demand that no image, by file or by pixels, is on two sides."""
    found = _crossings(captures, sides)
    if not found:
        return
    told = []
    for image, kind, both in found:
        there, here = (f"{sides[capture]} (capture {captures.id_of(capture)})" for capture in both)
        told.append(f"{LOOKS[kind]} {captures.pictures.look(image, kind)}: {there}, {here}")
    raise Refused(
        "E_SNAPSHOT_IMAGE_ON_TWO_SIDES",
        "the official split shows the same image on two sides",
        where=f"capture {captures.id_of(found[0].captures[1])}",
        expected="each image on one side",
        found="\n".join(told),
        hint="leave those rows out, or let kolm split: data.split: {eval: 0.2} in the spec "
        "(kolm capture snapshot: --split hash)",
    )


def _crossings(captures: Captures, sides: list[Placed]) -> list[_Crossing]:
    """The first images on two sides; of captures that show the same on one side, the first."""
    nobody, pictures = len(captures), captures.pictures
    marks = captures.as_given([SIDES[side] for side in sides])
    if all(set(pictures.marked(kind, marks)) <= ONE_SIDE for kind in LOOKS):
        return []
    shown = [array("I", [nobody]) * looks for looks in pictures.counts]
    asked: set[tuple[object, ...]] = set()
    found: list[_Crossing] = []
    for capture in range(len(captures)):
        crossing: dict[tuple[int, int], _Crossing] = {}
        mine = list(_looks(captures, capture))
        for image, kind, number in mine:
            other = shown[kind][number]
            if other == nobody:
                shown[kind][number] = capture
            elif sides[other] != sides[capture]:
                crossing.setdefault((kind, number), _Crossing(image, kind, (other, capture)))
        if not crossing:
            continue
        looks = (sides[capture], *(look[1:] for look in mine))
        if looks not in asked:
            asked.add(looks)
            found += crossing.values()
        if len(found) >= _MOST_NAMED:
            break
    return found[:_MOST_NAMED]


def _looks(captures: Captures, capture: int) -> Iterator[tuple[int, int, int]]:
    """The place of each picture of a capture, and for each kind of look: kind and number."""
    for image in captures.images(capture):
        for kind, numbers in enumerate(captures.pictures.alike):
            if numbers[image] != NONE:
                yield image, kind, numbers[image]


def _rule(message: str, found: str, hint: str = "") -> Usage:
    return Usage("E_SNAPSHOT_RULE", message, found=found, hint=hint)
