"""Train: what a run reads, checked and encoded: lock, snapshot, captures, pictures.

A run folder holds ``spec.lock.json``, ``snapshot.jsonl`` and ``inputs.json``; the last says where
this machine keeps the base and the captures, and nothing of it reaches a bundle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kolm import canonical
from kolm.capture.store import CaptureStore
from kolm.counting import counted
from kolm.digest import Digest
from kolm.encode.encoder import Encoder
from kolm.encode.examples import Dropped, Example, Learnable, Pair
from kolm.errors import Refused
from kolm.events import Reporter
from kolm.format.names import LINES
from kolm.format.seeds import training_root
from kolm.run import folder as files
from kolm.run.example_rows import dropped_row, kept_row

if TYPE_CHECKING:
    from kolm.records.documents import (
        Capture,
        ExamplesRow,
        ExamplesRowKeptRejected,
        ExamplesRowSide,
        Lock,
    )


# Encoding reports this often, so that a person sees it move.
_REPORT_EVERY = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotRow:
    """One line of ``snapshot.jsonl``."""

    capture: Digest
    split: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingInputs:
    """A run folder's content.

    Attributes:
        lock: the document.
        rows: of the snapshot.
        places: where this machine keeps base, captures and features.
    """

    lock: Lock
    rows: tuple[SnapshotRow, ...]
    places: files.Places


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedSplit:
    """The captures of one split.

    Attributes:
        examples: those that can be used, in the order of the snapshot.
        rows: of examples.jsonl, one for each capture.
    """

    examples: tuple[Learnable, ...]
    rows: tuple[ExamplesRow, ...]

    @property
    def dropped(self) -> Mapping[str, int]:
        """How many captures cannot be used, by reason."""
        reasons = Counter(row["dropped"] for row in self.rows if "dropped" in row)
        return dict(sorted(reasons.items()))

    @property
    def cut_prompts(self) -> int:
        """Examples whose prompt was shortened."""
        return sum(example.cut_tokens > 0 for example in self.examples)


def read_inputs(folder: Path) -> TrainingInputs:
    """Read a run folder.

    Raises:
        Unreadable: a file is missing.
        Refused: a file breaks its schema, or the captures are not the lock's.
    """
    lock = files.read_lock(folder)
    places = files.read_places(folder)
    lines, rows = [], []
    for _, line, row in canonical.read_lines(files.read(folder, LINES), where=LINES):
        lines.append((row["split"], line))
        rows.append(SnapshotRow(capture=Digest(row["capture"]), split=row["split"]))
    root = training_root(lines)
    if root != lock["data"]["training"]:
        raise Refused(
            "E_TRAIN_SNAPSHOT",
            "the captures to train on are not those that the lock names",
            where=LINES,
            expected=lock["data"]["training"],
            found=root,
        )
    return TrainingInputs(lock=lock, rows=tuple(rows), places=places)


def encode_split(
    rows: Iterable[SnapshotRow],
    split: ExamplesRowSide,
    store: CaptureStore,
    encoder: Encoder,
    reporter: Reporter,
) -> EncodedSplit:
    """Encode the captures of one split; what cannot be used is told by its reason."""
    chosen = [row for row in rows if row.split == split]
    examples: list[Learnable] = []
    facts: list[ExamplesRow] = []
    stage = f"encode {split}"
    reporter.started(stage, len(chosen), "captures")
    for position, row in enumerate(chosen):
        capture: Capture = canonical.loads_canonical(
            store.read(row.capture).data, where=row.capture
        )
        encoded = encoder.learnable(capture, position=position)
        facts.append(example_row(split, encoded))
        if not isinstance(encoded, Dropped):
            examples.append(encoded)
        if len(facts) % _REPORT_EVERY == 0:
            reporter.advanced(stage, len(facts))
    reporter.finished(stage)
    result = EncodedSplit(examples=tuple(examples), rows=tuple(facts))
    for reason, count in result.dropped.items():
        reporter.warned(f"{counted(count, 'capture')} of split {split} left out: {reason}")
    if result.cut_prompts:
        cut = counted(result.cut_prompts, f"{split} prompt")
        reporter.warned(f"{cut} cut to fit train.max_seq_length")
    return result


def example_row(split: ExamplesRowSide, encoded: Learnable | Dropped) -> ExamplesRow:
    """The row of examples.jsonl of an encoded capture."""
    if isinstance(encoded, Dropped):
        return dropped_row(split, encoded.reason.value)
    shown = sum(use.tokens for use in encoded.images)
    if isinstance(encoded, Pair):
        return kept_row(
            split,
            tokens=encoded.chosen.tokens,
            labels=encoded.chosen.label_tokens,
            cut=encoded.cut_tokens,
            image_tokens=shown,
            rejected=_rejected(encoded.rejected),
            corrected=sum(encoded.chosen.corrected) if encoded.chosen.corrected else None,
        )
    return kept_row(
        split,
        tokens=encoded.tokens,
        labels=encoded.label_tokens,
        cut=encoded.cut_tokens,
        image_tokens=shown,
    )


def _rejected(example: Example) -> ExamplesRowKeptRejected:
    row: ExamplesRowKeptRejected = {"labels": example.label_tokens, "tokens": example.tokens}
    if example.corrected:
        row["corrected"] = sum(example.corrected)
    return row
