"""V34, V39: is the snapshot what its header says, and does no picture stand on two sides?"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from kolm.bundle import references
from kolm.counting import counted
from kolm.digest import Digest
from kolm.distinct import Digests, Distinct
from kolm.errors import KolmError
from kolm.format.names import LINES, SNAPSHOT
from kolm.format.pictures import LOOKS, NONE, ONE_SIDE, SIDES
from kolm.records.sides import LEARNED, NO_SIDE
from kolm.records.verification import Finding
from kolm.verify.check import check
from kolm.verify.findings import failed, from_error, passed, unless_equal
from kolm.verify.subject import Subject

if TYPE_CHECKING:
    from kolm.bundle.snapshot_lines import SnapshotLines


@check(
    "V34",
    "Do the snapshot header's counts, root and split follow from its lines?",
    reads=(SNAPSHOT, LINES),
)
def header_follows(subject: Subject) -> Iterator[Finding]:
    """Counts and Merkle root from the lines; the split from ids, pictures and the rule."""
    yield from map(from_error, references.snapshot_counts_rows(subject.documents))
    yield from _near_duplicates_make_sense(subject)
    yield from _split_follows(subject)
    header = subject.snapshot
    kind, near = header["rule"]["kind"], header["near_duplicates"]
    drawn = (
        "the whole split" if kind == "hash" else "validation" if is_carved(subject) else "nothing"
    )
    yield passed(
        f"{len(subject.lines):,} leaves in one root; {drawn} drawn by rule, drawn again"
        f"; {counted(near['across_splits'], 'eval picture')} with a near twin in train or "
        "validation, as stated (V49)"
        f"; {counted(header['splits']['none']['captures'], 'capture')} left out of the split"
    )


def _near_duplicates_make_sense(subject: Subject) -> Iterator[Finding]:
    near, place = subject.snapshot["near_duplicates"], f"{SNAPSHOT}#/near_duplicates"
    across, policy = near["across_splits"], near["policy"]
    if policy != "report" and across:
        yield failed(
            f"near-duplicates are counted, and the policy {policy} leaves none",
            where=place,
            expected="0",
            found=across,
            rule="S12",
        )
    eval_images = subject.snapshot["splits"]["eval"]["images"]
    if across > eval_images:
        yield failed(
            "more near-duplicates are counted than there are eval pictures",
            where=place,
            expected=f"at most {eval_images}",
            found=across,
            rule="S12",
        )
    if policy != "group" and len(subject.lines.pictures.counts) < len(LOOKS):
        return  # no picture names twins, and none should
    named, smallest = Distinct(), Digests()  # near twins, and their smallest pixel digest
    for picture in (picture for images in subject.lines.images for picture in images):
        if ("twins" in picture) != (policy == "group"):
            expected = "twins" if policy == "group" else "none"
            found = picture.get("twins", "none")
            message = "near twins are named exactly where the policy groups them"
            yield failed(message, where=LINES, expected=expected, found=found, rule="S2")
            return
        if policy == "group":
            twins, pixels = named.number(Digest(picture["twins"])), Digest(picture["pixels"])
            if twins == len(smallest):
                smallest.append(pixels)
            smallest[twins] = min(smallest[twins], pixels)
    for twins in range(len(named)):
        message = "near twins are named by the smallest pixel digest among them"
        yield from unless_equal(smallest[twins], named[twins], message, where=LINES, rule="S2")


def is_carved(subject: Subject) -> bool:
    """Whether the rule makes a validation side out of what stated train."""
    return bool(Decimal(subject.snapshot["rule"]["validation"]))


def _split_follows(subject: Subject) -> Iterator[Finding]:
    """Draw again what the rule draws; sides that an official split states are taken as stated."""
    lines, header = subject.lines, subject.snapshot
    near = header["near_duplicates"]
    dropping = near["policy"] == "drop"
    try:
        sides = sides_by_rule(subject)
    except KolmError as error:
        if error.code != "E_SNAPSHOT_IMAGE_ON_TWO_SIDES":  # V39 says so with both lines
            yield from_error(error)
        return
    dropped = 0
    for number, (side, found) in enumerate(zip(sides, lines.splits, strict=True)):
        if dropping and side in LEARNED and found == NO_SIDE:
            dropped += 1  # for a near twin, which needs the pictures: V49
        elif side != found:
            yield failed(
                "the capture is not on the side that the rule puts it",
                where=lines.place(number),
                expected=side,
                found=found,
                rule="S7" if header["rule"]["kind"] == "hash" else "S8",
            )
    yield from unless_equal(
        dropped,
        near["dropped"],
        "the number of dropped near twins is not the header's",
        where=f"{SNAPSHOT}#/near_duplicates/dropped",
        rule="S12",
    )


def sides_by_rule(subject: Subject) -> Sequence[str]:
    """The side of each line by the rule, before near twins are dropped.

    Raises:
        KolmError: the rule cannot be applied.
    """
    lines, official = subject.lines, subject.snapshot["rule"]["kind"] == "official"
    if official and not is_carved(subject):
        return [_stated(split) if split == NO_SIDE else split for split in lines.splits]
    from kolm.format.groups import Captures  # most splits are official

    stated = [_stated(split) if official else None for split in lines.splits]
    captures = Captures(lines.captures, stated, lines.pictures)
    return subject.rules.assign(captures, subject.snapshot)


def _stated(split: str) -> Literal["eval", "train"]:
    """What the capture stated before validation was carved out of train, or twins were dropped."""
    return "eval" if split == "eval" else "train"


@check("V39", "Is no image on two sides of the split?", reads=(LINES,))
def sides_share_no_image(subject: Subject) -> Iterator[Finding]:
    """By file digest and by the digest of decoded pixels."""
    lines = subject.lines
    looks: tuple[Literal["file", "pixels"], ...] = ("file", "pixels")
    found = bytearray()
    for kind in looks:
        found = lines.pictures.marked(kind, map(SIDES.__getitem__, lines.splits))
        if not set(found) <= ONE_SIDE:
            yield from _pictures_on_two_sides(lines, kind)
    yield passed(f"{counted(len(found) - found.count(0), 'picture')}, each on one side")


def _pictures_on_two_sides(
    lines: SnapshotLines, kind: Literal["file", "pixels"]
) -> Iterator[Finding]:
    """Each with the line that shows it first, and the first one that is on another side."""
    pictures = lines.pictures
    numbers = pictures.alike[LOOKS.index(kind)]
    firsts, told = array("I", [NONE]) * len(numbers), set[int]()
    for number, (split, images) in enumerate(zip(lines.splits, lines.images, strict=True)):
        if split == NO_SIDE:
            continue
        for image, picture in zip(images, pictures.of(number), strict=True):
            look = numbers[picture]
            if firsts[look] == NONE:
                firsts[look] = number
            first = firsts[look]
            side = lines.splits[first]
            if side != split and look not in told:
                told.add(look)
                yield failed(
                    f"the same picture (by {kind}) is in both {side} and {split}",
                    where=f"{lines.place(first)} and {lines.place(number)}",
                    found=image[kind],
                    rule="S8",
                )
