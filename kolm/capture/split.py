"""Capture: which side each capture is on. Pure functions over ids and image digests.

Captures that share an image, by file or by pixels, form a group, and a group is on one side. The
order in which groups are held out is drawn from the ids of all captures, so it depends on the data
and on nothing else: not on the order of adding, not on a seed that somebody could try out. The
rules are docs/format/snapshot.md, S4 to S9.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, NamedTuple, Self

from kolm import digest
from kolm.capture import limits
from kolm.digest import Digest
from kolm.errors import Refused, Usage

if TYPE_CHECKING:
    from kolm.records.capture import Split

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
        near_duplicates: ``refuse`` or ``report``; None: refuse for ``hash``, report for
            ``official``, which somebody else has chosen.
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
            raise _rule("a split is official or hash", self.kind)
        if self.near_duplicates not in ("refuse", "report", None):
            raise _rule("near-duplicates are refused or reported", str(self.near_duplicates))
        for name, share in (("eval", self.eval), ("validation", self.validation)):
            if not 0 <= share <= MAX_SHARE or share != round(share, 6):
                raise _rule(f"the share of {name} is 0 to {MAX_SHARE}, in six places", str(share))
        if self.kind == "hash" and self.eval == 0:
            raise _rule("a hash split holds out some eval captures", "0")

    @property
    def policy(self) -> str:
        """``refuse`` or ``report``."""
        return self.near_duplicates or ("refuse" if self.kind == "hash" else "report")


class Member(NamedTuple):
    """What a split needs to know of a capture."""

    id: Digest
    images: tuple[tuple[Digest, Digest], ...]  # (file, pixels) of each image
    split: Split | None


def share(text: str) -> Decimal:
    """A share from its text, such as ``0.1``.

    Raises:
        Usage: not a decimal number.
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise _rule("a share is a decimal number", text) from None
    if not value.is_finite():
        raise _rule("a share is a decimal number", text)
    return value


def assign(members: Sequence[Member], rule: SplitRule) -> dict[Digest, Split]:
    """The side of every capture.

    Raises:
        Refused: an official split that is not stated or has an image on two sides, or a side that
            would be empty.
    """
    ordered = sorted(members, key=lambda member: member.id)
    sides = _official(ordered, rule) if rule.kind == "official" else _hashed(ordered, rule)
    for side in ("train", "eval"):
        if side not in sides.values():
            raise Refused(
                "E_SNAPSHOT_EMPTY_SIDE",
                f"no capture would be on the side {side}",
                expected="captures to train on and captures to score",
                found=f"{len(ordered)} captures in {len(groups(ordered))} groups that share images",
                hint="add captures with other images, or change the shares",
            )
    return sides


def validation_is_stated(members: Sequence[Member]) -> bool:
    """Whether an official split has its own validation side, which none is carved out for then."""
    return any(member.split == "validation" for member in members)


def groups(members: Sequence[Member]) -> list[list[Member]]:
    """Captures that share images, directly or through others; each group and the list by id."""
    parent = list(range(len(members)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    files: dict[Digest, int] = {}
    pixels: dict[Digest, int] = {}
    alike: dict[tuple[tuple[Digest, Digest], ...], int] = {(): -1}
    for index, member in enumerate(members):
        first = alike.setdefault(member.images, index)
        if 0 <= first < index:  # most captures ask about pictures that an earlier one has shown
            parent[index] = first
            continue
        for file, look in member.images:
            for other in (files.setdefault(file, index), pixels.setdefault(look, index)):
                if parent[other] != parent[index]:
                    mine, theirs = root(index), root(other)
                    # The smaller index becomes the root, so a group's root is its first capture.
                    parent[max(mine, theirs)] = min(mine, theirs)
    joined: dict[int, list[Member]] = {}
    for index, member in enumerate(members):
        joined.setdefault(root(index), []).append(member)
    return list(joined.values())


def _looks(member: Member) -> list[tuple[str, Digest]]:
    return [look for file, pixels in member.images for look in (("file", file), ("pixels", pixels))]


def _ranked(ordered: Sequence[Member]) -> list[list[Member]]:
    """Groups in the order in which they are held out (rule S6)."""
    seed = digest.of_bytes(b"".join(digest.raw_of(member.id) for member in ordered))
    return sorted(groups(ordered), key=lambda group: digest.chain(seed, group[0].id))


def _hashed(ordered: Sequence[Member], rule: SplitRule) -> dict[Digest, Split]:
    sides: dict[Digest, Split] = {}
    wanted: list[tuple[Split, Decimal]] = [("eval", rule.eval), ("validation", rule.validation)]
    ranked = _ranked(ordered)
    for side, share in wanted:
        ranked = _hold_out(ranked, side, share * len(ordered), sides)
    for group in ranked:
        sides.update((member.id, "train") for member in group)
    return sides


def _hold_out(
    ranked: list[list[Member]], side: Split, wanted: Decimal, sides: dict[Digest, Split]
) -> list[list[Member]]:
    """Put whole groups on a side until it has the wanted captures; gives the groups that remain.

    The last group is left to train, whatever the shares say (rule S7).
    """
    held, taken = 0, 0
    for group in ranked[:-1]:
        if held >= wanted:
            break
        held += len(group)
        taken += 1
        sides.update((member.id, side) for member in group)
    return ranked[taken:]


def _official(ordered: Sequence[Member], rule: SplitRule) -> dict[Digest, Split]:
    sides: dict[Digest, Split] = {}
    unstated = [member.id for member in ordered if member.split is None]
    if unstated:
        raise Refused(
            "E_SNAPSHOT_NO_OFFICIAL_SPLIT",
            f"{len(unstated)} captures state no side, so there is no official split",
            where=f"capture {unstated[0]}",
            found=f"{unstated[0]}" + (f" and {len(unstated) - 1} more" if unstated[1:] else ""),
            hint="state each row's split, or let kolm divide: data.split: {eval: 0.2} in the spec "
            "(kolm capture snapshot: --split hash)",
        )
    for member in ordered:
        if member.split is not None:
            sides[member.id] = member.split
    _check_one_side(ordered, sides)
    if not validation_is_stated(ordered) and rule.validation:
        train = [member for member in ordered if member.split == "train"]
        ranked = [group for group in _ranked(ordered) if group[0].split == "train"]
        _hold_out(ranked, "validation", rule.validation * len(train), sides)
    return sides


def _check_one_side(ordered: Sequence[Member], sides: dict[Digest, Split]) -> None:
    """Demand that no image, by file or by pixels, is on two sides."""
    seen: dict[tuple[str, Digest], tuple[Split, Digest]] = {}
    crossing: dict[str, None] = {}
    asked: set[tuple[Split, tuple[tuple[Digest, Digest], ...]]] = set()
    for member in ordered:
        here = (sides[member.id], member.id)
        if (here[0], member.images) in asked:
            continue
        asked.add((here[0], member.images))
        for look in _looks(member):
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
            found="\n".join(list(crossing)[: limits.MAX_NAMED_PROBLEMS]),
            hint="leave those rows out, or let kolm divide: data.split: {eval: 0.2} in the spec "
            "(kolm capture snapshot: --split hash)",
        )


def _rule(message: str, found: str) -> Usage:
    return Usage("E_SNAPSHOT_RULE", message, found=found)
