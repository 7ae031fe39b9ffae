"""The compositions: how much a compile will write, from its lock and what its base holds.

A state has the trained numbers and two moments of each; a training keeps one a boundary, and one
more between two. Vision features are kept in the cache, under a budget, and are given up first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from kolm import roles, settings
from kolm.actions.ahead import Ahead
from kolm.bundle.base_root import BaseFacts
from kolm.capture.store import CaptureStore
from kolm.digest import Digest
from kolm.format.outline import Outline, outline
from kolm.methods import method_of
from kolm.models.resolve import read_config
from kolm.planning.memory import BYTES
from kolm.planning.settings import moment_bytes
from kolm.planning.trained import trained_numbers
from kolm.records.documents import Lock
from kolm.roles.checkpoints import parameter_of

_FLOAT_BYTES: Final = 4  # of a trained number and of a moment, whatever the base's
_ANSWER_BYTES: Final = 1024  # of a case's row of predictions, about
_EXAMPLE_BYTES: Final = 80  # of an example's row, about
OTHER_BYTES: Final = 64 << 20  # reports, logs, and files that are replaced whole

Pictures = Mapping[tuple[Digest, int], tuple[int, int]]  # `preflight.Encoded.pictures`


class Room(NamedTuple):
    """What a compile will write, in bytes.

    Attributes:
        states: of a training.
        state_bytes: of each.
        results_bytes: of its results.
        bundle_bytes: of the bundle.
        features_bytes: of the vision features that it would keep in the cache.
    """

    states: int
    state_bytes: int
    results_bytes: int
    bundle_bytes: int
    features_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """All that a project's folder has to hold, and a little more."""
        written = self.states * self.state_bytes + self.results_bytes + self.bundle_bytes
        return written + OTHER_BYTES

    def __str__(self) -> str:
        states = f"{self.states} states of {mebibytes(self.state_bytes)}, " if self.states else ""
        results, bundle = map(mebibytes, (self.results_bytes, self.bundle_bytes))
        kept = f", vision features {mebibytes(self.features_bytes)}" if self.features_bytes else ""
        return f"{states}results {results}, bundle {bundle}{kept}"


def mebibytes(size: int) -> str:
    """A size as people read it, rounded up."""
    return f"{-(-size >> 20):,} MiB"


def room_of(ahead: Ahead) -> Room:
    """What a compile will write; less where its training is done already."""
    lock, snapshot = ahead.lock, ahead.prepared.snapshot
    train, publish = lock["train"], lock["publish"]
    numbers = numbers_of(lock, ahead.prepared.facts)
    adapter, state = adapter_bytes(numbers), state_bytes(numbers, train["optimizer"])
    sides = snapshot.header["splits"]
    texts = sum(map(len, snapshot.files().values()))
    rows = _ANSWER_BYTES * sides["eval"]["captures"] + _EXAMPLE_BYTES * len(snapshot.rows)
    trained = "train" in ahead.known
    states = train["segments"] + 1
    bundle = adapter + texts + rows
    if publish["checkpoints"] == "bundle":
        bundle += states * state
    if publish["images"]:
        bundle += _image_bytes(ahead)
    return Room(
        states=0 if trained else states + 1,
        state_bytes=state,
        results_bytes=rows + 2 * texts + (0 if trained else adapter),
        bundle_bytes=bundle,
        features_bytes=0 if trained else _features(ahead),
    )


def numbers_of(lock: Lock, facts: BaseFacts) -> int:
    """How many numbers a training changes, by names and shapes of the base's matrices."""
    train, family = lock["train"], roles.family(lock["base"]["family"])
    stored = ((parameter_of(family, tensor.key), tensor.shape) for tensor in facts.tensors)
    return trained_numbers(stored, family, method_of(train["method"]), train["projector"])


def adapter_bytes(numbers: int) -> int:
    """Of the adapter's file."""
    return numbers * _FLOAT_BYTES


def state_bytes(numbers: int, optimizer: str) -> int:
    """Of one state: the trained numbers, and two moments of each."""
    return numbers * (_FLOAT_BYTES + moment_bytes(optimizer))


def features_need(pictures: Pictures, base: Outline, precision: str, taps: int = 1) -> int:
    """What the features of pictures take where they are kept, as far as the budget goes.

    Args:
        pictures: each distinct one.
        base: its outline.
        precision: of the training.
        taps: outputs that are recorded of each picture.
    """
    numbers = sum(sequences * each for sequences, each in pictures.values())
    given = numbers // max(1, base.patch_numbers) * base.tower_width
    if base.places:  # of each of which the projector reads several layers' states
        given = len(pictures) * base.places * base.projector[0].inputs
    need = given * BYTES[precision] * taps
    return min(need, settings.features_bytes())


def _features(ahead: Ahead) -> int:
    """The features that the training of a lock would keep: none where it shows the tower all."""
    train = ahead.lock["train"]
    if not train["freeze"]["vision"]:  # adapted, or there is none
        return 0
    read = ("train", "validation") if train["validation"] else ("train",)
    pictures = {
        key: shown
        for side in read
        if side in ahead.sides
        for key, shown in ahead.sides[side].pictures.items()
    }
    family = roles.family(ahead.lock["base"]["family"])
    stored = ((parameter_of(family, t.key), t.shape) for t in ahead.prepared.facts.tensors)
    config = read_config(ahead.prepared.base.folder)
    taps = len(family.taps(config).recorded)
    return features_need(pictures, outline(stored, family), train["precision"], taps)


def _image_bytes(ahead: Ahead) -> int:
    eval_rows = (row for row in ahead.prepared.snapshot.rows if row.split == "eval")
    shown = {file for row in eval_rows for file, *_ in row.images}
    with CaptureStore.open_to_read(ahead.prepared.store_folder) as store:
        records = store.image_records()
    return sum(records[file].bytes for file in shown if file in records)
