"""Capture: an immutable snapshot of a store: who is in it, on which side, under one root.

`take` is a function of the captures and the rule alone: the same set gives the same bytes on every
machine, whatever the order of adding. Its documents are docs/format/snapshot.md.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kolm import canonical, digest, paths
from kolm.capture import file_limits, hygiene, likeness
from kolm.capture.naming import name_of
from kolm.capture.store import SNAPSHOTS, CaptureStore, StoredCapture
from kolm.counting import counted, listed
from kolm.digest import Digest
from kolm.errors import Refused
from kolm.format.groups import Captures, Looks, Member
from kolm.format.names import CASES, LINES
from kolm.format.names import SNAPSHOT as HEADER
from kolm.format.pictures import LOOKS
from kolm.format.seeds import pack_root, training_root
from kolm.format.split import (
    SplitRule,
    assign,
    demand_sides,
    twins_to_drop,
    validation_is_stated,
)
from kolm.records.sides import NO_SIDE, Placed
from kolm.store.blobs import translating

if TYPE_CHECKING:
    from kolm.records.documents import Snapshot as Header
    from kolm.records.documents import SnapshotRuleHash, SnapshotRuleOfficial, SnapshotSide


NAME_HEX_DIGITS = 16  # of a snapshot's folder: 64 bits tell a person's snapshots apart


class Row(NamedTuple):
    """One line: a capture, its images as `LOOKS` names their parts, and its side."""

    capture: Digest
    images: tuple[Looks, ...]
    split: Placed

    def document(self) -> dict[str, object]:
        """The `snapshot_row`."""
        images = [dict(zip(LOOKS, looks, strict=False)) for looks in self.images]
        return {"capture": self.capture, "images": images, "split": self.split}


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A snapshot in memory.

    Attributes:
        header: the `snapshot` document.
        rows: one a capture, by ascending id.
        header_bytes: ``snapshot.json``.
        lines: ``snapshot.jsonl``, the bytes of each line without its newline.
        cases: ``evalcases.jsonl``: the canonical bytes of each eval capture, by ascending id.
        near_pairs: (eval file, nearest other file) of every eval image with a near twin in train
            or validation.
        names: the file and row of each capture that has them.
        sides_passed_over: captures that state a side where the rule divides by shares.
    """

    header: Header
    rows: tuple[Row, ...]
    header_bytes: bytes
    lines: tuple[bytes, ...]
    cases: tuple[bytes, ...]
    near_pairs: tuple[tuple[Digest, Digest], ...]
    names: Mapping[Digest, str] = field(default_factory=dict)
    sides_passed_over: int = 0

    def told(self) -> str | None:
        """What whoever takes the snapshot may not have meant."""
        if not self.sides_passed_over:
            return None
        return (
            f"the split is by shares, and {counted(self.sides_passed_over, 'capture')} with a "
            "stated side may be on another (data.split: official keeps them)"
        )

    def on_no_side(self) -> tuple[str, ...]:
        """The captures that are neither trained on nor scored, as messages call them; sorted."""
        out = (row.capture for row in self.rows if row.split == NO_SIDE)
        return tuple(sorted(name_of(capture, self.names) for capture in out))

    @property
    def digest(self) -> Digest:
        """The digest of ``snapshot.json``: what a lock pins."""
        return digest.of_bytes(self.header_bytes)

    @property
    def training_root(self) -> Digest:
        """The root of the lines on the train and validation sides."""
        sides = (row.split for row in self.rows)
        return training_root(zip(sides, self.lines, strict=True))

    @property
    def pack_root(self) -> Digest:
        """The root of the lines on the eval side: which cases are scored."""
        sides = (row.split for row in self.rows)
        return pack_root(zip(sides, self.lines, strict=True))

    def files(self) -> dict[str, bytes]:
        """The three files by name."""
        return {
            HEADER: self.header_bytes,
            LINES: _joined(self.lines),
            CASES: _joined(self.cases),
        }

    def write(self, folder: Path) -> None:
        """Write the three files into a folder, each whole or not at all."""
        for name, data in self.files().items():
            with translating(str(folder / name)):
                paths.atomic_write(folder / name, data)


def take(store: CaptureStore, rule: SplitRule) -> Snapshot:
    """Freeze and split what a store holds now.

    Raises:
        Refused: the store is empty, rows contradict each other, the split cannot be made, a case
            would be scored twice, or near-duplicates cross the split and the rule refuses them.
    """
    stored = list(store.rows())
    if not stored:
        raise Refused("E_SNAPSHOT_EMPTY", "the store holds no captures", where=str(store.folder))
    hygiene.demand_clean(stored)
    members = _members(stored, store, grouped=rule.policy == "group")
    placed = assign(Captures.of(members), rule)
    sides = {member.id: side for member, side in zip(members, placed, strict=True)}
    dropped = _drop_twins(members, sides, store) if rule.policy == "drop" else 0
    hygiene.demand_distinct(row for row in stored if sides[row.id] == "eval")
    rows = tuple(Row(member.id, member.images, sides[member.id]) for member in members)
    pairs = near_pairs(rows, store)
    if pairs and rule.policy == "refuse":
        raise _near_duplicates(pairs, rows)
    lines = tuple(canonical.dumps(row.document()) for row in rows)
    header: Header = {
        "schema": "urn:kolm:snapshot:v1",
        "captures": len(rows),
        "images": len({file for row in rows for file, *_ in row.images}),
        "near_duplicates": {
            "across_splits": len(pairs),
            "dropped": dropped,
            "method": likeness.METHOD,
            "policy": rule.policy,
        },
        "root": digest.merkle_root(lines),
        "rule": _written(rule, members),
        "splits": {
            "eval": _side(rows, "eval"),
            "none": _side(rows, NO_SIDE),
            "train": _side(rows, "train"),
            "validation": _side(rows, "validation"),
        },
    }
    return Snapshot(
        header=header,
        rows=rows,
        header_bytes=canonical.dumps(header),
        lines=lines,
        cases=tuple(row.data for row in stored if sides[row.id] == "eval"),
        near_pairs=pairs,
        names=store.names(),
        sides_passed_over=sum(
            row.capture.split is not None for row in stored if rule.kind == "hash"
        ),
    )


def keep(store: CaptureStore, snapshot: Snapshot) -> Path:
    """Write a snapshot into its store's folder of snapshots, where it never changes.

    Returns:
        ``<store>/snapshots/<first hex digits of the snapshot's digest>``.

    Raises:
        Refused: the folder is there and holds something else.
    """
    name = digest.hex_of(snapshot.digest)[:NAME_HEX_DIGITS]
    target = store.folder / SNAPSHOTS / name
    if target.exists():
        _check_kept(target, snapshot)
        return target
    with translating(str(target)):
        target.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=target.parent))
        try:
            snapshot.write(making)
            for file in making.iterdir():
                file.chmod(0o444)
            making.chmod(0o755)
            making.rename(target)  # fails if another process was faster, as it should
        except OSError:
            if not target.exists():
                raise
            _check_kept(target, snapshot)
        finally:
            shutil.rmtree(making, ignore_errors=True)
        paths.sync_folder(target.parent)
    return target


def near_pairs(rows: Sequence[Row], store: CaptureStore) -> tuple[tuple[Digest, Digest], ...]:
    """(eval file, nearest other file) of eval images with a near twin in train or validation."""
    placed = ((row.split, file) for row in rows for file, *_ in row.images)
    return tuple(likeness.twins(*_signatures(store, placed)))


def _members(
    stored: Sequence[StoredCapture], store: CaptureStore, *, grouped: bool
) -> list[Member]:
    """What the split needs to know; with each picture's near twins where they are one picture."""
    named = _families(stored, store) if grouped else None
    return [
        Member(
            id=row.id,
            images=tuple(
                (image.file, image.pixels) + (() if named is None else (named[image.pixels],))
                for image in row.capture.images
            ),
            split=row.capture.split,
        )
        for row in stored
    ]


def _families(stored: Sequence[StoredCapture], store: CaptureStore) -> dict[Digest, Digest]:
    pixels = {image.file: image.pixels for row in stored for image in row.capture.images}
    signatures = store.signatures(pixels.keys())
    return likeness.families({pixels[file]: taken for file, taken in signatures.items()})


def _drop_twins(members: list[Member], sides: dict[Digest, Placed], store: CaptureStore) -> int:
    """Put what trains or validates with a near twin of an eval image on no side; counts it."""
    placed = ((sides[member.id], looks[0]) for member in members for looks in member.images)
    scored, learned = _signatures(store, placed)
    near = {file for file, _ in likeness.twins(learned, scored)}
    dropped = twins_to_drop(members, sides, near)
    sides.update(dict.fromkeys(dropped, NO_SIDE))
    demand_sides(list(sides.values()))
    return len(dropped)


def _signatures(
    store: CaptureStore, placed: Iterable[tuple[Placed, Digest]]
) -> tuple[dict[Digest, bytes], dict[Digest, bytes]]:
    """The likeness signatures of the eval files, and of those that train or validate."""
    scored: set[Digest] = set()
    learned: set[Digest] = set()
    for side, file in placed:
        if side != NO_SIDE:
            (scored if side == "eval" else learned).add(file)
    known = store.signatures(scored | learned)
    scored_known, learned_known = (
        {name: known[name] for name in names if name in known} for names in (scored, learned)
    )
    return scored_known, learned_known


def _side(rows: Sequence[Row], side: Placed) -> SnapshotSide:
    mine = [row for row in rows if row.split == side]
    return {
        "captures": len(mine),
        "images": len({file for row in mine for file, *_ in row.images}),
    }


def _written(rule: SplitRule, members: Sequence[Member]) -> SnapshotRuleOfficial | SnapshotRuleHash:
    """The rule as it was applied: a carved share is 0 where the data had its own validation."""
    validation = canonical.decimal(rule.validation)
    if rule.kind == "hash":
        held_out = canonical.decimal(rule.eval)
        drawn: SnapshotRuleHash = {"kind": "hash", "eval": held_out, "validation": validation}
        return drawn if rule.nonce is None else {**drawn, "nonce": rule.nonce}
    stated = validation_is_stated(member.split for member in members)
    taken: SnapshotRuleOfficial = {"kind": "official", "validation": "0" if stated else validation}
    return taken if rule.nonce is None else {**taken, "nonce": rule.nonce}


def _near_duplicates(pairs: tuple[tuple[Digest, Digest], ...], rows: Sequence[Row]) -> Refused:
    """Names a capture of each picture; `kolm capture show` tells where its file is."""
    shows = {file: row.capture for row in reversed(rows) for file, *_ in row.images}
    lines = [f"eval {shows[left]} ~ {shows[right]}" for left, right in pairs]
    return Refused(
        "E_SNAPSHOT_NEAR_DUPLICATES",
        f"{counted(len(pairs), 'eval image')} with a near twin in train or validation",
        found=listed(lines, file_limits.MAX_NAMED_PROBLEMS),
        hint="data.near_duplicates in the spec: drop leaves those captures out, group keeps "
        "near twins on one side, report only counts them (kolm capture snapshot: "
        "--near-duplicates); kolm capture show NAME tells where a picture is",
    )


def _check_kept(target: Path, snapshot: Snapshot) -> None:
    for name, data in snapshot.files().items():
        with translating(str(target / name)):
            if (target / name).read_bytes() != data:
                raise Refused(
                    "E_SNAPSHOT_CHANGED",
                    "the folder of this snapshot holds other data",
                    where=str(target / name),
                    hint="move the folder away and take the snapshot again",
                )


def _joined(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)
