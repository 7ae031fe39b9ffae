"""No image is on two sides, and sides follow from the captures alone."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kolm import digest
from kolm.errors import KolmError, Refused, Usage
from kolm.format import split
from kolm.format.groups import MAX_JOINED, Captures, Member, group
from kolm.format.split import SplitRule, share
from kolm.records.sides import NO_SIDE


def name(kind: str, number: int) -> digest.Digest:
    return digest.of_bytes(f"{kind}{number}".encode())


def member(number: int, *images: tuple[int, int], split=None) -> Member:
    looks = tuple((name("file", file), name("pixels", pixels)) for file, pixels in images)
    return Member(id=name("capture", number), images=looks, split=split)


def assign(found: list[Member], rule: SplitRule) -> dict[digest.Digest, str]:
    sides = split.assign(Captures.of(found), rule)
    return {item.id: side for item, side in zip(found, sides, strict=True)}


@st.composite
def members(draw: st.DrawFn, splits: bool = False) -> list[Member]:
    count = draw(st.integers(1, 30))
    image = st.tuples(st.integers(0, 15), st.integers(0, 15))
    side = st.sampled_from(["train", "validation", "eval"]) if splits else st.none()
    return [member(i, *draw(st.lists(image, max_size=3)), split=draw(side)) for i in range(count)]


RULE = SplitRule(kind="hash", eval=Decimal("0.2"), validation=Decimal("0.1"))


def sides_of_looks(found: list[Member], sides) -> dict[object, set[str]]:
    seen: dict[object, set[str]] = {}
    for item in found:
        for file, pixels in item.images:
            seen.setdefault(("file", file), set()).add(sides[item.id])
            seen.setdefault(("pixels", pixels), set()).add(sides[item.id])
    return seen


@settings(max_examples=200)
@given(members(), st.randoms(use_true_random=False))
def test_a_hash_split_keeps_each_image_on_one_side_in_any_order(found, chance) -> None:
    joined = grouped(found)
    if len(joined.groups) == 1:
        with pytest.raises(Refused) as caught:
            assign(found, RULE)
        assert caught.value.code == "E_SNAPSHOT_EMPTY_SIDE"
        return
    sides = assign(found, RULE)
    assert set(sides) == {item.id for item in found}
    out = {item.id for item in joined.left_out}
    assert out == {key for key, side in sides.items() if side == "none"}
    placed = [item for item in found if item.id not in out]
    assert all(len(where) == 1 for where in sides_of_looks(placed, sides).values())
    shuffled = list(found)
    chance.shuffle(shuffled)
    assert assign(shuffled, RULE) == sides


@settings(max_examples=200)
@given(members(splits=True), st.randoms(use_true_random=False))
def test_an_official_split_is_kept_or_refused_by_name(found, chance) -> None:
    stated = {item.id: item.split for item in found}
    assume({"train", "eval"} <= set(stated.values()))
    crossing = any(len(where) > 1 for where in sides_of_looks(found, stated).values())
    shuffled = list(found)
    chance.shuffle(shuffled)
    rule = SplitRule(kind="official", validation=Decimal("0.3"))
    if crossing:
        with pytest.raises(Refused) as caught:
            assign(shuffled, rule)
        assert caught.value.code == "E_SNAPSHOT_IMAGE_ON_TWO_SIDES"
        assert "sha256:" in caught.value.found
        return
    sides = assign(shuffled, rule)
    assert sides == assign(found, rule)
    moved = {key for key in sides if sides[key] != stated[key]}
    assert all(stated[key] == "train" and sides[key] == "validation" for key in moved)
    if "validation" in stated.values():
        assert not moved
    assert all(len(where) == 1 for where in sides_of_looks(found, sides).values())


class Grouped(NamedTuple):
    groups: list[list[Member]]
    left_out: list[Member]


def grouped(found: list[Member], most_joined: int | None = MAX_JOINED) -> Grouped:
    """Groups, and the captures that would have joined too much; all by ascending id."""
    ordered = sorted(found, key=lambda item: item.id)
    groups = group(Captures.of(found), most_joined=most_joined)
    joined: dict[int, list[Member]] = {first: [] for first in groups.firsts()}
    for item, first in zip(ordered, groups.first, strict=True):
        if first in joined:
            joined[first].append(item)
    assert [len(part) for part in joined.values()] == [size for size in groups.size if size]
    left_out = [item for place, item in enumerate(ordered) if groups.is_out(place)]
    return Grouped(list(joined.values()), left_out)


def grouped_by_the_page(found: list[Member]) -> Grouped:
    """Rule S4 of docs/format/snapshot.md, written out once more, with sets."""
    parts: list[list[Member]] = []
    left_out = []
    for item in sorted(found, key=lambda item: (len(item.images) > 1, item.id)):
        mine = looks_of(item)
        touched = [part for part in parts if any(mine & looks_of(other) for other in part)]
        joined = [item, *(other for part in touched for other in part)]
        if len(touched) > 1 and len(joined) > MAX_JOINED:
            left_out.append(item)
        else:
            parts = [*(part for part in parts if part not in touched), joined]
    ordered = [sorted(part, key=lambda item: item.id) for part in parts]
    return Grouped(sorted(ordered), sorted(left_out))


def looks_of(item: Member) -> set[tuple[int, digest.Digest]]:
    return {look for looks in item.images for look in enumerate(looks)}


@settings(max_examples=200)
@given(members())
def test_groups_and_sides_are_those_of_the_page(found) -> None:
    wanted = grouped_by_the_page(found)
    assert grouped(found) == wanted
    # Rules S5 to S7
    seed = digest.of_bytes(b"".join(sorted(digest.raw_of(item.id) for item in found)))
    ranked = sorted(wanted.groups, key=lambda part: digest.chain(seed, part[0].id))
    sides = {item.id: NO_SIDE for item in wanted.left_out}
    for side, held_out in (("eval", RULE.eval), ("validation", RULE.validation)):
        held = 0
        while len(ranked) > 1 and held < held_out * sum(map(len, wanted.groups)):
            held += len(ranked[0])
            sides |= dict.fromkeys((item.id for item in ranked.pop(0)), side)
    sides |= {item.id: "train" for part in ranked for item in part}
    if {"train", "eval"} <= set(sides.values()):
        assert assign(found, RULE) == sides


@given(members())
def test_groups_are_the_connected_parts(found) -> None:
    ordered = sorted(found, key=lambda item: item.id)
    parts, left_out = grouped(found, None)
    assert left_out == []
    assert sorted(item.id for part in parts for item in part) == [item.id for item in ordered]
    assert parts == sorted(parts, key=lambda part: part[0].id)
    looks = [{look for image in item.images for look in image} for item in ordered]
    for part in parts:
        assert part == sorted(part, key=lambda item: item.id)
        inside = {look for item in part for image in item.images for look in image}
        for item, own in zip(ordered, looks, strict=True):
            assert (item in part) or not (own & inside)


@given(members())
def test_no_capture_makes_a_group_larger_than_the_limit(found) -> None:
    parts, left_out = grouped(found, 4)
    for item in left_out:
        looks = {look for image in item.images for look in image}
        touched = [
            part
            for part in parts
            if any(look in looks for other in part for image in other.images for look in image)
        ]
        assert len(touched) > 1 or sum(map(len, touched)) >= 4
    assert sum(map(len, parts)) + len(left_out) == len(found)


def test_a_capture_that_joins_all_hard_pictures_is_on_no_side() -> None:
    found = [member(number, (number, number)) for number in range(400)]
    joining = member(1000, *((number, number) for number in range(40)))
    sides = assign([*found, joining], RULE)
    assert sides[joining.id] == "none"
    hard = [sides[item.id] for item in found[:40]]
    assert {"eval", "train"} <= set(hard)


def test_captures_about_the_same_pictures_are_joined_whatever_their_number() -> None:
    pair = ((0, 0), (1, 1))
    found = [member(number, *pair) for number in range(50)]
    found += [member(number, (number, number)) for number in range(50, 100)]
    sides = assign(found, RULE)
    assert "none" not in sides.values()
    assert len({sides[item.id] for item in found[:50]}) == 1


def test_an_official_split_leaves_no_capture_out() -> None:
    found = [member(number, (number, number), split="train") for number in range(40)]
    found.append(member(100, *((number, number) for number in range(40)), split="train"))
    found += [member(number, (number, number), split="eval") for number in range(200, 210)]
    sides = assign(found, SplitRule(kind="official", validation=Decimal("0.2")))
    assert "none" not in sides.values()


def test_near_twins_are_one_picture_where_they_are_named() -> None:
    found = [
        Member(id=m.id, images=((*m.images[0], name("twins", n // 4)),), split=None)
        for n, m in ((n, member(n, (n, n))) for n in range(100))
    ]
    sides = assign(found, RULE)
    for start in range(0, 100, 4):
        assert len({sides[item.id] for item in found[start : start + 4]}) == 1


def test_shares_are_of_captures_and_reached_but_not_by_more_than_a_group() -> None:
    found = [member(number, (number // 4, number // 4)) for number in range(400)]
    sides = list(assign(found, RULE).values())
    assert (sides.count("eval"), sides.count("validation"), sides.count("train")) == (80, 40, 280)


def test_one_more_capture_draws_the_sides_anew() -> None:
    found = [member(number, (number, number)) for number in range(100)]
    before, after = assign(found, RULE), assign([*found, member(1000, (1000, 1000))], RULE)
    assert any(before[key] != after[key] for key in before)


def test_the_order_of_holding_out_is_that_of_the_format() -> None:
    # Rules S5 to S7 of docs/format/snapshot.md, written out once more.
    found = sorted((member(n, (n, n)) for n in range(10)), key=lambda item: item.id)
    seed = digest.of_bytes(b"".join(digest.raw_of(item.id) for item in found))
    ranked = sorted(found, key=lambda m: digest.of_bytes(digest.raw_of(seed) + digest.raw_of(m.id)))
    sides = assign(found, RULE)
    wanted = ["eval"] * 2 + ["validation"] + ["train"] * 7
    assert [sides[item.id] for item in ranked] == wanted


def test_an_official_split_names_captures_that_state_none() -> None:
    with pytest.raises(Refused) as caught:
        assign([member(1, split="train"), member(2, split="eval"), member(3)], SplitRule())
    assert caught.value.code == "E_SNAPSHOT_NO_OFFICIAL_SPLIT"
    assert name("capture", 3) in caught.value.found


@pytest.mark.parametrize("split", ["train", "eval"])
def test_an_official_split_has_something_to_train_on_and_to_score(split) -> None:
    with pytest.raises(Refused) as caught:
        assign([member(number, (number, number), split=split) for number in range(9)], SplitRule())
    assert caught.value.code == "E_SNAPSHOT_EMPTY_SIDE"


def test_the_last_group_trains_whatever_the_shares_say() -> None:
    rule = SplitRule(kind="hash", eval=Decimal("0.5"), validation=Decimal("0.5"))
    found = [member(number, (number, number)) for number in range(2)]
    assert sorted(assign(found, rule).values()) == ["eval", "train"]


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "random"}, {"near_duplicates": "ignore"}, {"eval": Decimal("0.95")},
        {"near_duplicates": "group"}, {"validation": Decimal(-1)}, {"eval": Decimal("0.1234567")},
        {"kind": "hash", "eval": Decimal(0)},
    ],
)  # fmt: skip
def test_a_rule_that_makes_no_sense_is_a_wrong_call(options) -> None:
    with pytest.raises(Usage) as caught:
        SplitRule(**options)
    assert caught.value.code == "E_SNAPSHOT_RULE"


@pytest.mark.parametrize("text", ["x", "NaN", "inf", ""])
def test_a_share_is_a_number(text: str) -> None:
    with pytest.raises(KolmError):
        share(text)
    assert share("0.10") == Decimal("0.1")


def test_near_duplicates_are_refused_by_default_only_in_our_own_split() -> None:
    assert SplitRule(kind="hash").policy == "refuse"
    assert SplitRule(kind="official").policy == "report"
    assert SplitRule(kind="official", near_duplicates="refuse").policy == "refuse"
