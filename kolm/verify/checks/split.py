"""V34, V39: is the snapshot what its header says, and does no picture stand on two sides?"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Literal

from kolm.bundle import references
from kolm.digest import Digest
from kolm.errors import KolmError
from kolm.records.verification import Finding
from kolm.verify.check import check
from kolm.verify.findings import failed, from_error, passed
from kolm.verify.subject import LINES, SNAPSHOT, Subject


@check(
    "V34",
    "Do the snapshot header's counts, root and split follow from its lines?",
    reads=(SNAPSHOT, LINES),
)
def header_follows(subject: Subject) -> Iterator[Finding]:
    """Counts and Merkle root from the lines; the split from ids, pictures and the rule."""
    yield from map(from_error, references.snapshot_counts_rows(subject.documents))
    near = subject.snapshot["near_duplicates"]
    if near["policy"] == "refuse" and near["across_splits"]:
        yield failed(
            "near-duplicates were to be refused, and some are counted",
            where=f"{SNAPSHOT}#/near_duplicates",
            expected="0",
            found=near["across_splits"],
        )
    eval_images = subject.snapshot["splits"]["eval"]["images"]
    if near["across_splits"] > eval_images:
        yield failed(
            "more near-duplicates are counted than there are eval pictures",
            where=f"{SNAPSHOT}#/near_duplicates",
            expected=f"at most {eval_images}",
            found=near["across_splits"],
        )
    yield from _split_follows(subject)
    kind = subject.snapshot["rule"]["kind"]
    drawn = "the whole split" if kind == "hash" else "validation" if _carved(subject) else "nothing"
    yield passed(
        f"{len(subject.lines):,} leaves in one root; {drawn} drawn by rule, drawn again"
        f"; {near['across_splits']:,} eval pictures with a near twin in train, as stated (V49)"
    )


def _carved(subject: Subject) -> bool:
    return bool(Decimal(subject.snapshot["rule"]["validation"]))


def _split_follows(subject: Subject) -> Iterator[Finding]:
    """Draw again what the rule draws; sides that an official split states are taken as stated."""
    lines, rule, carved = subject.lines, subject.snapshot["rule"], _carved(subject)
    official = rule["kind"] == "official"
    if official and not carved:
        return
    from kolm.capture.split import Member, SplitRule, assign  # most splits are official

    pairs = {  # equal lists of pictures are one list, so each is turned into pairs once
        id(images): tuple((Digest(i["file"]), Digest(i["pixels"])) for i in images)
        for images in {id(images): images for images in lines.images}.values()
    }
    members = [
        Member(Digest(capture), pairs[id(images)], _stated(split) if official else None)
        for capture, split, images in zip(lines.captures, lines.splits, lines.images, strict=True)
    ]
    try:
        sides = assign(
            members,
            SplitRule(
                kind=rule["kind"],
                eval=Decimal(rule.get("eval", "0.1")),
                validation=Decimal(rule["validation"]),
                near_duplicates=subject.snapshot["near_duplicates"]["policy"],
            ),
        )
    except KolmError as error:
        if error.code != "E_SNAPSHOT_IMAGE_ON_TWO_SIDES":  # V39 says so with both lines
            yield from_error(error)
        return
    for number, (capture, split) in enumerate(zip(lines.captures, lines.splits, strict=True), 1):
        if sides[Digest(capture)] != split:
            yield failed(
                "the capture is not on the side that the rule puts it",
                where=f"{LINES}:{number}",
                expected=sides[Digest(capture)],
                found=split,
            )


def _stated(split: str) -> Literal["eval", "train"]:
    """What the capture stated before validation was carved out of train."""
    return "eval" if split == "eval" else "train"


@check("V39", "Is no image on two sides of the split?", reads=(LINES,))
def sides_share_no_image(subject: Subject) -> Iterator[Finding]:
    """By file digest and by the digest of decoded pixels."""
    lines = subject.lines
    files: dict[str, tuple[str, int]] = {}
    pixels: dict[str, tuple[str, int]] = {}
    told: set[str] = set()
    for number, (split, images) in enumerate(zip(lines.splits, lines.images, strict=True), 1):
        here = (split, number)
        for picture in images:
            for kind, seen in (("file", files), ("pixels", pixels)):
                image = picture[kind]
                side, line = seen.setdefault(image, here)
                if side != split and image not in told:
                    told.add(image)
                    yield failed(
                        f"a picture (same {kind}) stands in {side} and in {split}",
                        where=f"{LINES}:{line} and {LINES}:{number}",
                        found=image,
                    )
    yield passed(f"{len(pixels):,} pictures, each on one side")
