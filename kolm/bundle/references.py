"""The bundle: cross-references between members: V08.

Each function recomputes what one document says about another; nothing is taken on its word.
Rules B8 to B16 of docs/format/bundle.md.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from kolm import digest
from kolm.bundle.documents import Documents
from kolm.errors import KolmError, Refused
from kolm.format import names
from kolm.format.names import CARD, LOCK, WEIGHTS, Name
from kolm.format.optimizer import uses_bitsandbytes

if TYPE_CHECKING:
    from kolm.bundle.snapshot_lines import SnapshotLines
    from kolm.records.documents import Checkpoint, SnapshotRowSplit

SIDES: "Final[tuple[SnapshotRowSplit, ...]]" = ("eval", "none", "train", "validation")


class Difference(NamedTuple):
    """A field in which a document is not the one that follows from others."""

    path: tuple[str, ...]
    expected: object
    found: object

    def where(self, name: str) -> str:
        """The field in a member, as an error says it."""
        return f"{name}#/{'/'.join(self.path)}"


def receipt_differences(documents: Documents) -> Iterator[Difference]:
    """Each field in which the receipt is not the one that the other members make (B8).

    Raises:
        Refused: a member that it is made from is missing, or makes no receipt.
    """
    stated = documents.document(names.RECEIPT)
    if not any(row["kind"] == "checkpoint" for row in documents.rows(names.TRACE)):
        raise _refused(names.TRACE, "the trace has no checkpoint")
    documents.raw(WEIGHTS)  # the receipt states its size, so that it cannot be derived without it
    layers = [name for name in documents.names if name != names.RECEIPT]
    derived = documents.rules.derive_receipt(
        lock=documents.document(LOCK),
        snapshot=documents.document(names.SNAPSHOT),
        modules=documents.rows(names.MODULES),
        examples=documents.rows(names.EXAMPLES),
        trace=documents.rows(names.TRACE),
        members={n: (documents.digest_of(n), len(documents.raw(n))) for n in layers},
    )
    yield from _differences((), derived, stated)


def _differences(path: tuple[str, ...], expected: object, found: object) -> Iterator[Difference]:
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted(expected.keys() | found.keys()):
            yield from _differences((*path, key), expected.get(key), found.get(key))
    elif expected != found:
        yield Difference(path, expected, found)


def lock_lists_are_ordered(documents: Documents) -> Iterator[KolmError]:
    """Lists whose order means nothing have one order, and name nothing twice or by a path."""
    lock = documents.document(LOCK)
    files = [file["name"] for file in lock["base"]["files"]]
    for place, stated in (
        ("train/method/targets", lock["train"]["method"]["targets"]),
        ("base/files", files),
    ):
        yield from _same(f"{LOCK}#/{place}", sorted(set(stated)), list(stated))
    for name in files:
        parts = name.split("/")
        if not name.isprintable() or "\\" in name or any(part in ("", ".", "..") for part in parts):
            yield _refused(f"{LOCK}#/base/files", "a file's name leads out of its folder", "", name)


def lock_pins_data(documents: Documents) -> Iterator[KolmError]:
    """The lock names this snapshot, these Merkle roots and these eval cases."""
    data = documents.document(LOCK)["data"]
    snapshot, root = documents.digest_of(names.SNAPSHOT), documents.document(names.SNAPSHOT)["root"]
    yield from _same(f"{LOCK}#/data/snapshot", snapshot, data["snapshot"])
    yield from _same(f"{LOCK}#/data/root", root, data["root"])
    lines: SnapshotLines = documents.value(names.LINES)
    training = documents.rules.training_root(zip(lines.splits, lines.leaves, strict=True))
    yield from _same(f"{LOCK}#/data/training", training, data["training"])
    if names.CASES in documents:
        cases = documents.digest_of(names.CASES)
        yield from _same(f"{LOCK}#/data/cases", cases, data["cases"])
    published = documents.document(LOCK)["publish"]["text"]
    if published != (names.CASES in documents):
        yield _refused(f"{LOCK}#/publish/text", "publish.text and evalcases.jsonl disagree")


def lock_pins_the_draw(documents: Documents) -> Iterator[KolmError]:
    """The pack that the lock names is the eval side as stated, apart from training; the nonce of a
    request draws seeds and split alike."""
    lock, header = documents.document(LOCK), documents.document(names.SNAPSHOT)
    rule, wanted = header["rule"], lock["evaluation"].get("pack")
    if wanted is not None:
        lines: SnapshotLines = documents.value(names.LINES)
        found = documents.rules.pack_root(zip(lines.splits, lines.leaves, strict=True))
        yield from _same(f"{LOCK}#/evaluation/pack", found, wanted)
        yield from _same("snapshot.json#/rule/kind", "official", rule["kind"])
        if header["near_duplicates"]["policy"] == "report":
            place = "snapshot.json#/near_duplicates/policy"
            yield _refused(
                place, "near twins of a pack may be in training", "drop, refuse", "report"
            )
    drawn = None if lock["request"] is None else lock["nonce"]
    yield from _same("snapshot.json#/rule/nonce", drawn, rule.get("nonce"))


def snapshot_counts_rows(documents: Documents) -> Iterator[KolmError]:
    """The snapshot header's root and counts are those of its lines, which are sorted."""
    header = documents.document(names.SNAPSHOT)
    lines: SnapshotLines = documents.value(names.LINES)
    root = digest.merkle_root(lines.leaves)
    yield from _same("snapshot.json#/root", root, header["root"])
    previous = ""
    for number, capture in enumerate(lines.captures, start=1):
        if capture <= previous:
            yield _refused(f"snapshot.jsonl:{number}", "captures are not sorted and unique")
            return
        previous = capture
    captures = Counter(lines.splits)
    marks = {side: 1 << place for place, side in enumerate(SIDES)}
    shown = lines.pictures.marked("file", map(marks.__getitem__, lines.splits))
    images = Counter(shown)
    for side in SIDES:
        place, stated = f"snapshot.json#/splits/{side}", header["splits"][side]
        yield from _same(f"{place}/captures", captures[side], stated["captures"])
        found = sum(count for sides, count in images.items() if sides & marks[side])
        yield from _same(f"{place}/images", found, stated["images"])
    yield from _same("snapshot.json#/captures", captures.total(), header["captures"])
    yield from _same("snapshot.json#/images", len(shown), header["images"])


def examples_follow(documents: Documents) -> Iterator[KolmError]:
    """examples.jsonl has a possible row for each capture to learn from."""
    yield from documents.rules.examples_follow(
        documents.rows(names.EXAMPLES),
        documents.rows(names.LINES),
        documents.document(LOCK)["train"],
    )


def trace_follows(documents: Documents) -> Iterator[KolmError]:
    """The trace is the one that lock and examples make, where they decide it."""
    yield from documents.rules.trace_follows(
        documents.rows(names.TRACE), documents.reading, documents.document(LOCK)["train"]
    )


def environment_class_holds(documents: Documents) -> Iterator[KolmError]:
    """The class is the digest of the rest, in which stands what took part, and nothing else."""
    lock = documents.document(LOCK)
    environment, train, place = lock["environment"], lock["train"], f"{LOCK}#/environment"
    rest = {key: value for key, value in environment.items() if key != "class"}
    yield from _same(f"{place}/class", digest.of_value(rest), environment["class"])
    took_part = {"accelerator": environment["device"] != "cpu"}
    took_part["bitsandbytes"] = uses_bitsandbytes(train["optimizer"], train["quantisation"])
    for part, expected in took_part.items():
        named = {True: f"{part} named", False: f"no {part}"}
        yield from _same(f"{place}/{part}", named[expected], named[part in environment])


def checkpoints_are_the_traces(documents: Documents) -> Iterator[KolmError]:
    """Every state of the trace with the bytes that it names, if the lock publishes them."""
    published = documents.document(LOCK)["publish"]["checkpoints"] == "bundle"
    rows = [row for row in documents.rows(names.TRACE) if row["kind"] == "checkpoint"]
    states = {f"checkpoint-{row['step']:08d}": row["state"] for row in rows} if published else {}
    expected = {f"{base}.{suffix}" for base in states for suffix in ("json", "safetensors")}
    yield from _exactly(documents, "checkpoint-", expected, "publish.checkpoints and the trace")
    for base, state in states.items():
        document: Name[Checkpoint] = Name(f"{base}.json")
        tensors = f"{base}.safetensors"
        if document in documents and tensors in documents:
            yield from _same(document, state, documents.digest_of(document))
            found = documents.digest_of(tensors)
            try:
                stated = documents.document(document)["tensors"]
            except KolmError:
                continue  # V06 and V07 say what is wrong with it
            yield from _same(tensors, stated, found)


def checkpoints_follow(documents: Documents) -> Iterator[KolmError]:
    """Published checkpoints hold what trace, modules and adapter make of them."""
    if documents.document(LOCK)["publish"]["checkpoints"] == "bundle":
        from kolm.bundle import checkpoint_rules  # few bundles publish any

        yield from checkpoint_rules.checkpoints_follow(documents)


def images_are_the_cases(documents: Documents) -> Iterator[KolmError]:
    """Every picture of the eval side under its own digest, if the lock publishes them."""
    published = documents.document(LOCK)["publish"]["images"]
    expected = {
        names.eval_image(image["file"])
        for row in (documents.rows(names.LINES) if published else ())
        if row["split"] == "eval"
        for image in row["images"]
    }
    yield from _exactly(documents, names.EVAL_IMAGE, expected, "publish.images and the snapshot")
    for name in sorted(expected):
        if name in documents:
            yield from _same(name, name, names.eval_image(documents.digest_of(name)))


def _exactly(
    documents: Documents, prefix: str, expected: set[str], why: str
) -> Iterator[KolmError]:
    found = {name for name in documents.names if name.startswith(prefix)}
    for name in sorted(expected - found):
        yield _refused(name, f"{why} promise a member that is missing")
    for name in sorted(found - expected):
        yield _refused(name, f"{why} do not name this member")


def card_is_derived(documents: Documents) -> Iterator[KolmError]:
    """README.md is the card that receipt, lock and evaluation make."""
    expected = documents.rules.render_card(
        receipt=documents.document(names.RECEIPT),
        lock=documents.document(LOCK),
        evaluation=documents.document(names.EVALUATION),
    )
    if documents.raw(CARD) != expected:
        yield _refused(CARD, "the model card is not the one that follows from the other members")


def _same(place: str, expected: object, found: object) -> Iterator[KolmError]:
    if expected != found:
        yield _refused(place, "two members contradict each other", str(expected), str(found))


def _refused(place: str, message: str, expected: str = "", found: str = "") -> Refused:
    return Refused(
        "E_BUNDLE_REFERENCE", message, where=place, expected=expected[:200], found=found[:200]
    )


# The rules of docs/format/bundle.md that need no document beside those that V08 reads.
RULES: tuple[tuple[str, Callable[[Documents], Iterator[KolmError]]], ...] = (
    ("B9", lock_pins_data),
    ("B9", lock_pins_the_draw),
    ("B11", trace_follows),
    ("B12", examples_follow),
    ("B13", environment_class_holds),
    ("B14", images_are_the_cases),
    ("B14", checkpoints_are_the_traces),
    ("B18", checkpoints_follow),
    ("B17", lock_lists_are_ordered),
)
