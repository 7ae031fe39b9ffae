"""V47–V49: do the auditor's own captures and pictures carry the digests of the snapshot?

Reads the store given by ``--captures`` through a port, because pictures need an image library.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from kolm import canonical, digest, schema
from kolm.counting import counted
from kolm.errors import KolmError, Lacking
from kolm.format.names import SNAPSHOT
from kolm.records import kinds
from kolm.records.sides import LEARNED, NO_SIDE
from kolm.records.verification import Finding
from kolm.verify.check import Answers
from kolm.verify.checks.cases import looks
from kolm.verify.checks.split import is_carved, sides_by_rule
from kolm.verify.findings import could_not_look, failed, from_error, passed, unless_equal
from kolm.verify.ports import CaptureReader
from kolm.verify.subject import Subject


def captures_are_the_leaves(subject: Subject) -> Iterator[Finding]:
    """Every leaf must be a capture of the store, which may hold more; and its line must say what
    the capture shows, and under an official split the side that it states."""
    source, lines = subject.auditor.store(), subject.lines
    missing = {digest.raw_of(leaf): number for number, leaf in enumerate(lines.captures)}
    for data in source.captures():
        number = missing.pop(digest.raw_of_bytes(data), None)
        if number is not None:
            yield from _line_is_the_captures(subject, number, data)
    for number in sorted(missing.values()):
        yield could_not_look(
            "the store holds no capture with this id: it is incomplete, or the leaf is invented",
            where=lines.place(number),
        )
    yield passed(f"{len(lines) - len(missing):,} leaves are captures of the store")


def _line_is_the_captures(subject: Subject, number: int, data: bytes) -> Iterator[Finding]:
    lines, place = subject.lines, subject.lines.place(number)
    try:
        capture = schema.check(kinds.CAPTURE, canonical.loads(data, where=place), where=place)
    except KolmError as error:
        yield from_error(error)
        return
    yield from unless_equal(
        looks(capture["images"]),
        looks(lines.images[number]),
        "the line names other pictures than its capture shows",
        where=place,
        rule="S2",
    )
    if subject.snapshot["rule"]["kind"] == "official":
        sides = _sides_stated(lines.splits[number], carved=is_carved(subject))
        if capture["split"] not in sides:
            yield failed(
                "the capture is on another side than it states",
                where=place,
                expected=" or ".join(sides),
                found=capture["split"] or "none stated",
                rule="S8",
            )


def _sides_stated(side: str, *, carved: bool) -> tuple[str, ...]:
    """What a capture on a side can have stated under an official split: validation may be carved
    out of train, and of both what shows a near twin of an eval picture may be left out."""
    if side == "eval":
        return (side,)
    if carved:
        return ("train",)
    return LEARNED if side == NO_SIDE else (side,)


def pictures_are_recorded(subject: Subject) -> Iterator[Finding]:
    """Each distinct picture is hashed and decoded once."""
    source = subject.auditor.store()
    lines = subject.lines
    pictures = {
        image["file"]: (image["pixels"], number)
        for number, images in enumerate(lines.images)
        for image in images
    }
    for file, (pixels, number) in sorted(pictures.items()):
        place = f"{lines.place(number)}, picture {file}"
        try:
            facts = source.picture(file)
        except Lacking as error:  # no picture can be decoded here
            yield from_error(error)
            return
        except KolmError as error:
            yield from_error(error)._replace(where=place)
            continue
        if facts is None:
            yield could_not_look("the store does not hold the picture", where=place)
            continue
        for what, expected, found in (
            ("file", file, facts.file),
            ("pixel", pixels, facts.pixels),
        ):
            another = f"the picture has another {what} digest"
            yield from unless_equal(expected, found, another, where=place, rule="capture C6")
    yield passed(f"{len(pictures):,} pictures decoded")


def near_duplicates_are_counted(subject: Subject) -> Iterator[Finding]:
    """Counted again with the method that the header names."""
    source = subject.auditor.store()
    stated = subject.snapshot["near_duplicates"]
    if stated["method"] != source.near_duplicate_method:
        yield could_not_look(
            f"this kolm does not know the method {stated['method']}",
            where=f"{SNAPSHOT}#/near_duplicates",
        )
        return
    sides: defaultdict[str, set[str]] = defaultdict(set)
    for split, images in zip(subject.lines.splits, subject.lines.images, strict=True):
        sides[split].update(image["file"] for image in images)
    learned = set[str]().union(*(sides[side] for side in LEARNED))
    found = len(source.near_twins(sorted(sides["eval"]), sorted(learned)))
    yield from unless_equal(
        found,
        stated["across_splits"],
        "the number of near-duplicates differs",
        where=f"{SNAPSHOT}#/near_duplicates/across_splits",
        rule="S12",
    )
    if stated["policy"] == "drop":
        yield from _dropped_are_twins(subject, source, sides)
    if stated["policy"] == "group":
        yield from _families_are_named(subject, source)
    yield passed(f"{counted(found, 'eval picture')} with a near twin in train or validation")


def _dropped_are_twins(
    subject: Subject, source: CaptureReader, sides: Mapping[str, set[str]]
) -> Iterator[Finding]:
    """A capture that the rule trains or validates on may be on no side only for a near twin."""
    lines, near = subject.lines, source.near_twins(sorted(sides[NO_SIDE]), sorted(sides["eval"]))
    for number, side in enumerate(sides_by_rule(subject)):
        if lines.splits[number] != NO_SIDE or side == NO_SIDE:
            continue
        if not any(image["file"] in near for image in lines.images[number]):
            yield failed(
                "the capture was left out of the split, and shows no near twin of an eval picture",
                where=lines.place(number),
                expected=side,
                found=NO_SIDE,
                rule="S12",
            )


def _families_are_named(subject: Subject, source: CaptureReader) -> Iterator[Finding]:
    lines = subject.lines
    pictures = {
        image["pixels"]: (image, number)
        for number, images in enumerate(lines.images)
        for image in images
    }
    named = source.families({pixels: image["file"] for pixels, (image, _) in pictures.items()})
    for pixels, (image, number) in sorted(pictures.items()):
        yield from unless_equal(
            named[pixels],
            image.get("twins", "none"),
            "the picture has other near twins than stated",
            where=f"{lines.place(number)}, picture {image['file']}",
            rule="S10",
        )


ANSWERS: Answers = {
    "V47": captures_are_the_leaves,
    "V48": pictures_are_recorded,
    "V49": near_duplicates_are_counted,
}
