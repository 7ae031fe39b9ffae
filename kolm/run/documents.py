"""Run: the documents of a run folder that no bundle has, as types."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from kolm.digest import Digest
    from kolm.records.documents import (
        ExamplesRow,
        ExamplesRowSide,
        KscoreMachine,
        LockEnvironment,
        PredictionsRowOutcomeFinish,
        PredictionsRowPreference,
        TraceRow,
    )


class Inputs(TypedDict):
    """`run.folder.Places` as stored; paths are texts."""

    base: str
    base_stamp: Digest | None
    captures: str
    adapter: str | None
    continued: str | None
    features: str | None
    features_bytes: int
    devices: list[str]
    spread: bool
    track: list[str]
    processes: int


class Measurements(TypedDict):
    """What a finished evaluation measured on its machine."""

    measured_on: str
    latency_calls: int
    p50_latency_us: int
    p95_latency_us: int
    tokens_per_call: str
    wall_seconds: str
    machine: KscoreMachine


class ValidatedRow(TypedDict):
    """One answer to a capture of the validation side."""

    case: Digest
    output: str
    tokens: int
    finish: PredictionsRowOutcomeFinish
    score: str
    covered: bool


class Result(TypedDict):
    """The record of a finished stage."""

    schema: str
    stage: str
    key: Digest
    files: dict[str, Digest]


class Request(TypedDict):
    """What a rescore is asked for."""

    cases: list[Digest]


class RescoredRow(TypedDict):
    """One answer of a rescore."""

    batch: int
    case: Digest
    run: str
    output: str
    tokens: int
    finish: PredictionsRowOutcomeFinish


class Rescored(TypedDict):
    """What a rescore answers."""

    rows: list[RescoredRow]
    preferences: dict[Digest, PredictionsRowPreference]


class Drawn(TypedDict):
    """The side of each capture that is to be encoded again."""

    sides: dict[Digest, ExamplesRowSide]


class Asked(TypedDict):
    """How captures are to be answered by a base or a bundle; fractions are decimal strings.

    `model` is a bundle's content id or the root of a base. Precision and budget are of a base
    alone: a bundle's lock says its own. `whole`: a prompt that would be cut is not answered.
    """

    bundle: bool
    model: Digest
    environment: LockEnvironment
    precision: str
    max_seq_length: int
    max_images: int
    whole: bool
    samples: int
    temperature: str
    seed: int
    max_new_tokens: int
    batch_size: int
    noise: int


class RecountedPicture(TypedDict):
    """What the tower is shown of a picture: see `kolm.format.compute.Sight`."""

    pixels: Digest
    max_pixels: int
    among: bool
    sequences: int
    numbers: int


class Recounted(TypedDict):
    """What encoding gave, by capture; those that the store does not hold are left out.

    `pictures` has those of the captures that can be used.
    """

    rows: dict[Digest, ExamplesRow]
    pictures: dict[Digest, list[RecountedPicture]]


class Shapes(TypedDict):
    """Name and shape of every parameter of a model that was made without weights."""

    parameters: list[tuple[str, list[int]]]


class ReplaySegment(TypedDict):
    """A part of a training to run again: its steps follow `first` and end with `last`."""

    first: int
    last: int
    before: Digest


class ReplayRequest(TypedDict):
    """What a replay is asked for."""

    segments: list[ReplaySegment]


class ReplayedSegment(TypedDict):
    """What a segment's steps gave: their rows of the trace, the state and adapter after them."""

    state: Digest
    rows: list[TraceRow]
    adapter: Digest


class Replayed(TypedDict):
    """What a replay answers: the state before the first step, and what became of each segment.

    The state is null where it goes on from one that was not handed over, and a segment where its
    first state was not reached and was not handed over either.
    """

    state: Digest | None
    segments: list[ReplayedSegment | None]
