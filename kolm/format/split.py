"""The format: which side each capture is on. Pure functions over ids and image digests.

Captures that share an image form a group, and a group is on one side. The order in which groups
are held out is drawn from the ids of all captures: it depends on the captures and on nothing else,
neither on the order of adding nor on a seed. Who changes a capture draws anew; what that allows,
and the rules, are docs/format/snapshot.md, S4 to S9.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, NamedTuple, Self

from kolm import digest
from kolm.digest import Digest
from kolm.errors import Refused, Usage
from kolm.format.groups import MAX_JOINED, Group, Looks, Member, group
from kolm.records.sides import NO_SIDE, Placed

if TYPE_CHECKING:
    from kolm.records.documents import Snapshot


POLICIES = ("refuse", "report", "drop", "group")
LOOKS = ("file", "pixels", "twins")  # what Looks holds, in this order
_MOST_NAMED = 20  # captures or images that one error names
MAX_SHARE = Decimal("0.9")  # of one held-out side: more leaves nothing to train on


class _Rule(NamedTuple):
    kind: str
    eval: Decimal
    validation: Decimal
    near_duplicates: str | None


class SplitRule(_Rule):
    """How captures are put on sides.

    Attributes:
        kind: ``official``: every capture states its side; ``hash``: by rank of its group.
        eval: share of captures held out for scoring; only for ``hash``.
        validation: share of captures (``hash``) or of train captures (``official``, and only when
            none states the side validation) held out for early stopping.
        near_duplicates: ``refuse`` eval images with a near twin in train, ``report`` them,
            ``drop`` the train captures that show one, or ``group`` near twins as one picture (only
            for ``hash``); None: refuse for ``hash``, report for ``official``, which somebody else
            has chosen.
    """

    __slots__ = ()

    def __new__(
        cls,
        kind: str = "official",
        eval: Decimal = Decimal("0.1"),  # noqa: A002 - the name in the snapshot's header
        validation: Decimal = Decimal("0.05"),
        near_duplicates: str | None = None,
    ) -> Self:
        """A rule that makes sense.

        Raises:
            Usage: it does not.
        """
        made = super().__new__(cls, kind, eval, validation, near_duplicates)
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
    def policy(self) -> str:
        """What happens about near twins."""
        return self.near_duplicates or ("refuse" if self.kind == "hash" else "report")


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
        **held_out,
    )


def assign(members: Sequence[Member], rule: SplitRule) -> dict[Digest, Placed]:
    """The side of every capture, before near twins are dropped.

    Raises:
        Refused: an official split that is not stated or has an image on two sides, or a side that
            would be empty.
    """
    ordered = sorted(members, key=lambda member: member.id)
    sides = _official(ordered, rule) if rule.kind == "official" else _hashed(ordered, rule)
    demand_sides(sides)
    return sides


def demand_sides(sides: Mapping[Digest, Placed]) -> None:
    """Demand captures to train on and captures to score.

    Raises:
        Refused: ``E_SNAPSHOT_EMPTY_SIDE``.
    """
    placed = list(sides.values())
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


def validation_is_stated(members: Sequence[Member]) -> bool:
    """Whether an official split has its own validation side, which none is carved out for then."""
    return any(member.split == "validation" for member in members)


def twins_to_drop(
    members: Sequence[Member], sides: Mapping[Digest, Placed], near: Collection[Digest]
) -> list[Digest]:
    """The train captures that the policy ``drop`` puts on no side.

    Args:
        members: the captures.
        sides: where they are before.
        near: the files on the side train that have a near twin on the side eval.
    """
    return [
        member.id
        for member in members
        if sides[member.id] == "train" and any(looks[0] in near for looks in member.images)
    ]


def _ranked(ordered: Sequence[Member], groups: Sequence[Group]) -> list[Group]:
    """Groups in the order in which they are held out (rule S6)."""
    seed = digest.of_bytes(b"".join(digest.raw_of(member.id) for member in ordered))
    return sorted(groups, key=lambda group: digest.chain(seed, group[0].id))


def _hashed(ordered: Sequence[Member], rule: SplitRule) -> dict[Digest, Placed]:
    found = group(ordered, most_joined=MAX_JOINED)
    sides: dict[Digest, Placed] = {member.id: NO_SIDE for member in found.left_out}
    count = len(ordered) - len(found.left_out)
    ranked = _ranked(ordered, found.groups)
    wanted: list[tuple[Placed, Decimal]] = [("eval", rule.eval), ("validation", rule.validation)]
    for side, share in wanted:
        ranked = _hold_out(ranked, side, share * count, sides)
    for rest in ranked:
        sides.update((member.id, "train") for member in rest)
    return sides


def _hold_out(
    ranked: list[Group], side: Placed, wanted: Decimal, sides: dict[Digest, Placed]
) -> list[Group]:
    """Put whole groups on a side until it has the wanted captures; gives the groups that remain.

    The last group is left to train, whatever the shares say (rule S7).
    """
    held, taken = 0, 0
    for mine in ranked[:-1]:
        if held >= wanted:
            break
        held += len(mine)
        taken += 1
        sides.update((member.id, side) for member in mine)
    return ranked[taken:]


def _official(ordered: Sequence[Member], rule: SplitRule) -> dict[Digest, Placed]:
    sides: dict[Digest, Placed] = {}
    unstated = [member.id for member in ordered if member.split is None]
    if unstated:
        raise Refused(
            "E_SNAPSHOT_NO_OFFICIAL_SPLIT",
            f"{len(unstated)} captures state no side, so there is no official split",
            where=f"capture {unstated[0]}",
            found=f"{unstated[0]}" + (f" and {len(unstated) - 1} more" if unstated[1:] else ""),
            hint="state each row's split, or let kolm split: data.split: {eval: 0.2} in the spec "
            "(kolm capture snapshot: --split hash)",
        )
    for member in ordered:
        if member.split is not None:
            sides[member.id] = member.split
    _check_one_side(ordered, sides)
    if not validation_is_stated(ordered) and rule.validation:
        train = [member for member in ordered if member.split == "train"]
        groups = group(ordered, most_joined=None).groups
        ranked = [mine for mine in _ranked(ordered, groups) if mine[0].split == "train"]
        _hold_out(ranked, "validation", rule.validation * len(train), sides)
    return sides


def _check_one_side(ordered: Sequence[Member], sides: Mapping[Digest, Placed]) -> None:
    """Demand that no image, by file or by pixels, is on two sides."""
    seen: dict[tuple[str, Digest], tuple[Placed, Digest]] = {}
    crossing: dict[str, None] = {}
    asked: set[tuple[Placed, tuple[Looks, ...]]] = set()
    for member in ordered:
        here = (sides[member.id], member.id)
        if (here[0], member.images) in asked:
            continue
        asked.add((here[0], member.images))
        for look in (pair for looks in member.images for pair in zip(LOOKS, looks, strict=False)):
            side, other = seen.setdefault(look, here)
            if side != here[0]:
                told = f"{side} (capture {other}), {here[0]} (capture {member.id})"
                crossing[f"{look[0]} {look[1]}: {told}"] = None
    if crossing:
        raise Refused(
            "E_SNAPSHOT_IMAGE_ON_TWO_SIDES",
            "the official split shows the same image on two sides",
            where=next(iter(crossing)).split(":")[0],
            expected="each image on one side",
            found="\n".join(list(crossing)[:_MOST_NAMED]),
            hint="leave those rows out, or let kolm split: data.split: {eval: 0.2} in the spec "
            "(kolm capture snapshot: --split hash)",
        )


def _rule(message: str, found: str, hint: str = "") -> Usage:
    return Usage("E_SNAPSHOT_RULE", message, found=found, hint=hint)
