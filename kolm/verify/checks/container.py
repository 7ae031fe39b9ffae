"""V01–V09: is the file one bundle, whole, in the one form that its content has?

The rules themselves are `kolm.bundle.container_rules` and `kolm.bundle.references`; here each
departure becomes a finding under its number.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from kolm.bundle import container_rules, references
from kolm.bundle.documents import NOT_CANONICAL
from kolm.counting import counted
from kolm.errors import KolmError
from kolm.format.names import (
    CARD,
    EVALUATION,
    EXAMPLES,
    LINES,
    LOCK,
    MODULES,
    RECEIPT,
    SNAPSHOT,
    TRACE,
)
from kolm.records.verification import Finding
from kolm.verify.check import check
from kolm.verify.findings import failed, from_error, passed, unless_equal
from kolm.verify.subject import MANIFEST, Subject

# The fields of the receipt with the rules of docs/format/receipt.md that say what stands there.
RECEIPT_RULES: Final = {
    "base": "R1",
    "name": "R1",
    "kolm": "R1",
    "environment_class": "R1",
    "lock": "R1",
    "snapshot_root": "R1",
    "members": "R2",
    "trace": "R3",
    "counts": "R4",
    "vlm_train": "R5 to R7",
}
ELSEWHERE: Final = ("counts", "vlm_train")  # V29 and V28 answer for these


def receipt_follows(subject: Subject, fields: Collection[str]) -> Iterator[Finding]:
    """Each difference from the receipt that the other members make, in some of its fields."""
    for difference in subject.receipt_differences:
        field = difference.path[0]
        if field in fields:
            yield failed(
                "the receipt is not the one that follows from the other members",
                rule=RECEIPT_RULES[field],
                where=difference.where(RECEIPT),
                expected=difference.expected,
                found=difference.found,
                code="E_BUNDLE_REFERENCE",
            )


def _all(errors: Iterable[KolmError], detail: str) -> Iterator[Finding]:
    yield from map(from_error, errors)
    yield passed(detail)


@check("V01", "Is the file one canonical tar, and nothing else?")
def tar_is_canonical(subject: Subject) -> Iterator[Finding]:
    """Headers, padding and end are compared with the only ones possible."""
    entries = len(subject.container.entries)
    yield from _all(container_rules.tar_grammar(subject.container), counted(entries, "entry"))


@check("V02", "Is everything within the reader's limits?")
def sizes_are_bounded(subject: Subject) -> Iterator[Finding]:
    """Compared before anything is allocated or parsed."""
    size = len(subject.container.view)
    rule = container_rules.sizes_within_limits(subject.container)
    yield from _all(rule, f"{size:,} bytes")


@check("V03", "Does every blob hash to its name, in the size its descriptor states?")
def blobs_hash(subject: Subject) -> Iterator[Finding]:
    """Every byte of every blob is hashed."""
    count = len(subject.container.digests)
    rule = container_rules.blobs_match_names(subject.container)
    yield from _all(rule, f"{count} blobs hashed")


@check("V04", "Is every blob reachable and every descriptor's blob here, each of a known kind?")
def world_is_closed(subject: Subject) -> Iterator[Finding]:
    """Exactly the entries that manifest and claims call for."""
    count = len(subject.digests)
    rule = container_rules.closed_world(subject.container)
    yield from _all(
        rule, f"{counted(count, 'member')}, {counted(len(subject.claims.states), 'claim')}"
    )


@check("V05", "Are oci-layout and index.json the ones that the manifests imply?", needs=("V04",))
def layout_follows(subject: Subject) -> Iterator[Finding]:
    """Both are derived again and compared byte for byte."""
    rule = container_rules.layout_is_derived(subject.container)
    yield from _all(rule, "both derived again, byte for byte")


@check("V06", "Is every document strict JSON that fits its schema?", reads=(MANIFEST,))
def documents_fit(subject: Subject) -> Iterator[Finding]:
    """The first problem of each member; one bad row tells enough."""
    yield from _document_errors(subject, canonical_form=False)
    yield passed(counted(len(subject.documents.contents), "member"))


@check("V07", "Is every document in its canonical bytes?", reads=(MANIFEST,))
def documents_are_canonical(subject: Subject) -> Iterator[Finding]:
    """A second spelling of the same value would be a second content id for one content."""
    yield from _document_errors(subject, canonical_form=True)
    names = list(subject.documents.contents)
    lost = [name for name in names if subject.documents.error_of(name) is not None]
    yield passed(
        f"{len(names) - len(lost)} of {counted(len(names), 'member')}"
        "; the others could not be read (V06)"
        if lost
        else counted(len(names), "member")
    )


def _document_errors(subject: Subject, *, canonical_form: bool) -> Iterator[Finding]:
    for name in subject.documents.contents:
        error = subject.documents.error_of(name)
        if error is not None and (error.code in NOT_CANONICAL) == canonical_form:
            yield from_error(error)


@check(
    "V08",
    "Do receipt, members, lock, snapshot and trace refer to one another?",
    reads=(RECEIPT, LOCK, SNAPSHOT, LINES, EXAMPLES, TRACE, MODULES),
)
def members_refer(subject: Subject) -> Iterator[Finding]:
    """Digests, seeds, rate, environment class, all of the trace that follows, the card."""
    documents = subject.documents
    rules = [*references.RULES]
    if documents.obstacle(EVALUATION) is None and documents.obstacle(CARD) is None:
        rules.append(("B15", references.card_is_derived))
    for name, rule in rules:
        yield from (from_error(error)._replace(rule=name) for error in rule(documents))
    yield from _seeds_follow(subject)
    yield from _rate_is_taken(subject)
    yield from _processes_hold(subject)
    yield from receipt_follows(subject, RECEIPT_RULES.keys() - set(ELSEWHERE))
    steps = subject.receipt["trace"]["steps"]
    yield passed(
        f"{counted(len(subject.digests), 'member')}, {counted(steps, 'step')} in one chain"
    )


@check("V09", "Is the content id the digest of the manifest?")
def content_id_is_recomputed(subject: Subject) -> Iterator[Finding]:
    """And the one that was asked for, when the auditor asked for one."""
    yield from map(from_error, container_rules.content_id_holds(subject.container))
    expected = subject.auditor.expected_id
    if expected is not None and subject.content_id != expected:
        yield failed(
            "this is another bundle than the one that was asked for",
            expected=expected,
            found=subject.content_id or "no manifest",
            code="E_BUNDLE_ANOTHER",
        )
    yield passed(subject.content_id or "")


def _rate_is_taken(subject: Subject) -> Iterator[Finding]:
    """A lock that says that it took the recommended rate has it."""
    rates = subject.lock["rates"]
    if rates["source"] == "recommended":
        yield from unless_equal(
            rates["recommended"],
            subject.lock["train"]["learning_rate"],
            "the learning rate is not the recommended one, which the lock says was taken",
            where=f"{LOCK}#/train/learning_rate",
            rule="L16",
        )


def _processes_hold(subject: Subject) -> Iterator[Finding]:
    """How many processes trained is stated of an accelerator alone; they share a step evenly."""
    lock = subject.lock
    processes, batches = lock["environment"]["world_size"], lock["train"]["accumulation"]
    if batches % processes or (processes > 1 and lock["environment"]["device"] == "cpu"):
        yield failed(
            "so many processes do not train together on this device, or share no step evenly",
            expected="1 on the CPU, elsewhere a divisor of train.accumulation",
            found=f"{processes} on {lock['environment']['device']}, accumulation {batches}",
            where=f"{LOCK}#/environment/world_size",
            code="E_BUNDLE_REFERENCE",
            rule="L11",
        )


def _seeds_follow(subject: Subject) -> Iterator[Finding]:
    """From base, captures to learn from, training settings and nonce: docs/format/lock.md."""
    derived: Mapping[str, object] = subject.rules.derive_seeds(subject.lock)
    stated: Mapping[str, object] = subject.lock["seeds"]
    for label, seed in derived.items():
        yield from unless_equal(
            seed,
            stated[label],
            "the seed does not follow from the training's inputs, so it may have been chosen",
            where=f"{LOCK}#/seeds/{label}",
            rule="L9",
        )
