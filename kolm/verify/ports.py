"""What the auditor can hand in from above: a capture store, and ways to run things again.

The verifier imports neither image nor model code. `actions` implements these with kolm/capture and
with a child process; tests implement them with dictionaries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from kolm.bundle.container import Container
from kolm.bundle.held import Held
from kolm.digest import Digest

if TYPE_CHECKING:
    from kolm.bundle.states import State
    from kolm.records.documents import (
        ExamplesRowSide,
        Lock,
        LockEnvironment,
        PredictionsRowPreference,
    )
    from kolm.run.documents import Recounted, Replayed, RescoredRow
    from kolm.verify.segments import Segment


class PictureFacts(NamedTuple):
    """What decoding a picture gives."""

    file: str
    pixels: str


class CaptureReader(Protocol):
    """The auditor's capture store, as far as an audit needs it."""

    @property
    def near_duplicate_method(self) -> str:
        """The name of the method that `near_duplicates` uses."""

    def captures(self) -> Iterator[bytes]:
        """The canonical bytes of every capture in the store."""

    def picture(self, file: str) -> PictureFacts | None:
        """The digests of a picture's stored bytes and decoded pixels; None when it is not there.

        Raises:
            Refused: the picture cannot be decoded.
        """

    def near_twins(self, left: Sequence[str], right: Sequence[str]) -> frozenset[str]:
        """The pictures of `left` (file digests) with a near twin in `right`."""

    def families(self, files: Mapping[str, str]) -> Mapping[str, str]:
        """For each picture (its file's digest by its pixel digest) the name of its near twins.

        The name is the smallest pixel digest among them, directly or through others.
        """


class RescoreJob(NamedTuple):
    """Which cases to run again, of which bundle, on which base: the one that was checked.

    `cases_file` holds all eval cases as evalcases.jsonl does, also where the bundle withholds them.
    """

    bundle: Container
    base: Path
    cases: tuple[Digest, ...]
    cases_file: bytes


class RescoreAnswer(NamedTuple):
    """What the re-run gave.

    Attributes:
        environment_class: of the machine that ran; bits are comparable within one class only.
        rows: one a case and run: ``case``, ``run``, ``output``, ``tokens``, ``finish``.
        preferences: what P8 states, by case: of those with two answers that were learned from.
    """

    environment_class: str
    rows: Sequence[RescoredRow]
    preferences: Mapping[Digest, PredictionsRowPreference]


RescoreRunner = Callable[[RescoreJob], RescoreAnswer]


class RecountJob(NamedTuple):
    """Which captures to encode again, each of its side, for which bundle, with which base."""

    bundle: Container
    base: Path
    sides: Mapping[Digest, ExamplesRowSide]


# Gives what the trainer writes into examples.jsonl of each capture that the auditor's store holds,
# and what it shows the tower.
RecountRunner = Callable[[RecountJob], "Recounted"]


class RescoreRequest(NamedTuple):
    """How much to run again, the fresh randomness that draws it, and how to run it.

    Attributes:
        cases: how many cases are answered again, and how many captures are encoded again; None for
            all of them.
    """

    cases: int | None
    entropy: Digest
    run: RescoreRunner
    recount: RecountRunner


class StateSource(Protocol):
    """Where the states of a training are looked for: whoever made it hands them over."""

    @property
    def named(self) -> str:
        """The sources in words; empty where there are none."""

    def document(self, state: Digest, step: int | None) -> bytes | None:
        """The document of a state, whose digest `state` should be; None where no source has one.

        Args:
            state: its digest.
            step: after which it was written; None where nobody knows.

        Raises:
            KolmError: a source cannot be read.
        """

    def tensors(self, tensors: Digest, step: int, most_bytes: int) -> Held | None:
        """The file that a document names, from where the document was; None where it is not there.

        Args:
            tensors: its digest.
            step: of the document.
            most_bytes: a larger file is none, and is not read.
        """


class ReplayJob(NamedTuple):
    """Which segments to run again, of which bundle, on which base: the one that was checked.

    Attributes:
        nonce: that drew them.
        segments: ascending.
        handed: the steps after which segments begin whose states were handed over.
        state: one of them, read and checked when it is asked for: they may be large.
        continued: the state of an earlier training that this one goes on from, or None.
        captures: that the segments read.
    """

    bundle: Container
    base: Path
    nonce: Digest
    segments: tuple[Segment, ...]
    handed: frozenset[int]
    state: Callable[[Segment], State | None]
    continued: State | None
    captures: tuple[Digest, ...]


class ReplayRequest(NamedTuple):
    """How much of the training to run again, the number that draws it, and how to run it.

    Attributes:
        segments: how many besides the first; None for all.
        nonce: chosen by the auditor when the bundle was fixed.
        states: where states are looked for.
        environment: the environment that runs of a lock have on this machine.
        lacking: those of some captures that the auditor's store does not hold.
        run: runs segments.
    """

    segments: int | None
    nonce: Digest
    states: StateSource
    environment: Callable[[Lock], LockEnvironment]
    lacking: Callable[[Sequence[Digest]], Sequence[Digest]]
    run: Callable[[ReplayJob], Replayed]
