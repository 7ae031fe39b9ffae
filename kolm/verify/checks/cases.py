"""V30, V38: are the eval cases the snapshot's, and were they published?

Withheld cases are looked for in the auditor's capture store.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from kolm import digest
from kolm.capture import rules
from kolm.errors import KolmError
from kolm.format.names import CASES, LINES, LOCK, SNAPSHOT
from kolm.records.verification import Finding
from kolm.verify.check import check
from kolm.verify.findings import (
    could_not_look,
    failed,
    from_error,
    not_checked,
    passed,
    unless_equal,
)
from kolm.verify.subject import WITHHELD, Subject

if TYPE_CHECKING:
    from kolm.records.documents import CaptureImage, SnapshotRowImage


@check(
    "V30",
    "Do the eval cases hash to the snapshot's eval leaves?",
    reads=(LINES, SNAPSHOT, LOCK),
)
def cases_are_the_leaves(subject: Subject) -> Iterator[Finding]:
    """Each case's id is the hash of its bytes; ids, order and pictures are the snapshot's.

    And the cases are ones that a snapshot can be taken of: captures that obey their rules, each
    asked once. Withheld cases are looked for in the auditor's capture store.
    """
    published = CASES in subject.documents
    if not published and subject.auditor.captures is not None:
        for case in subject.cases_not_held:
            yield could_not_look(
                "the publisher withheld this case, and the capture store does not hold it",
                where=f"{LINES}: {case}",
            )
    obstacle = subject.cases_obstacle()
    if obstacle is not None:
        yield not_checked(obstacle)
        return
    yield from _leaves_follow(subject)
    yield from _cases_obey_the_rules(subject)
    if not published:
        yield from unless_equal(
            digest.of_bytes(subject.cases_text),
            subject.lock["data"]["cases"],
            "the lock names other eval cases than the snapshot's",
            where=f"{LOCK}#/data/cases",
            rule="B9",
        )
    place = "" if published else " in your capture store"
    yield passed(f"{len(subject.case_ids):,} cases{place} hash to their leaves")


def _leaves_follow(subject: Subject) -> Iterator[Finding]:
    lines = subject.lines
    official = subject.snapshot["rule"]["kind"] == "official"
    leaves = iter(lines.of_split("eval"))  # both are in the order of the ids
    leaf, missing = next(leaves, None), array("Q")
    previous = ""
    for number, (case, row) in enumerate(subject.case_rows(), 1):
        where = f"{CASES}:{number}"
        if case <= previous:
            yield failed("the cases are not sorted by id, each once", where=where, rule="S3")
        previous = case
        while leaf is not None and lines.captures[leaf] < case:
            missing.append(leaf)
            leaf = next(leaves, None)
        if leaf is None or lines.captures[leaf] != case:
            yield failed(
                "the case is not one of the snapshot's eval captures: it was edited or added",
                where=where,
                found=case,
                rule="S3",
            )
        else:
            if looks(lines.images[leaf]) != looks(row["images"]):
                wrong = "the case names other pictures than its leaf"
                yield failed(wrong, where=where, found=case, rule="S2")
            leaf = next(leaves, None)
        if official and row["split"] != "eval":
            yield failed(
                "under an official split a case must be marked eval",
                where=where,
                expected="eval",
                found=row["split"] or "none",
                rule="S8",
            )
    for number in chain(missing, () if leaf is None else (leaf,), leaves):
        yield failed(
            "a capture that the snapshot puts on the eval side is missing from the cases",
            where=CASES,
            expected=lines.captures[number],
            rule="S3",
        )


def looks(images: Sequence[CaptureImage | SnapshotRowImage]) -> list[tuple[str, str]]:
    """File and pixel digest of each picture, in the capture's order."""
    return [(image["file"], image["pixels"]) for image in images]


def _cases_obey_the_rules(subject: Subject) -> Iterator[Finding]:
    """What taking captures in and a snapshot of them refuse: C4 to C12, S13."""
    pictures: dict[str, tuple[object, ...]] = {}
    answered: dict[bytes, tuple[int, bytes]] = {}  # by question: the first case, and its answer
    fingerprints = subject.rules.fingerprints
    for number, (_, row) in enumerate(subject.case_rows(), 1):
        where = f"{CASES}:{number}"
        try:
            rules.check_rules(row, where=where)
        except KolmError as error:
            yield from_error(error)
            continue
        question, answer = fingerprints(row)
        first, its_answer = answered.setdefault(question, (number, answer))
        if first != number:
            does = "repeats" if answer == its_answer else "contradicts"
            yield failed(
                f"the case {does} another: the same pictures and prompt",
                where=where,
                found=f"{CASES}:{first}",
                rule="S13",
            )
        for image in row["images"]:
            described = tuple(image.values())  # canonical, so that the keys have one order
            if pictures.setdefault(image["file"], described) != described:
                yield failed(
                    "the picture is described differently than in an earlier case",
                    where=where,
                    found=image["file"],
                    rule="capture C6",
                )


@check(
    "V38",
    "Were prompts, references and outputs published, so that scores can be recomputed?",
    reads=(LOCK, LINES),
)
def text_is_published(subject: Subject) -> Iterator[Finding]:
    """Withholding is allowed and shown; promising and not delivering is not."""
    promised, there = subject.lock["publish"]["text"], CASES in subject.documents
    if promised and not there:
        yield failed(
            "the lock promises the eval cases, and they are missing", where=CASES, rule="E10"
        )
    elif there and not promised:
        yield failed(
            "the lock withholds the eval cases, and they are there", where=CASES, rule="E10"
        )
    elif there:
        yield passed("prompts, references and outputs are in the bundle")
    else:
        held = subject.auditor.captures is not None and not subject.cases_not_held
        place = "they are read from your capture store" if held else "--captures can give them"
        yield not_checked(f"{WITHHELD}; {place}")
