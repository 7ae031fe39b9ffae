"""Run: the names of a run folder's files, beside those of a bundle's members (`format.names`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kolm.format.names import Name

if TYPE_CHECKING:
    from kolm.records.documents import TrainFacts
    from kolm.run.documents import (
        Asked,
        Drawn,
        Inputs,
        Measurements,
        Recounted,
        Replayed,
        ReplayRequest,
        Request,
        Rescored,
        Result,
        Shapes,
        ValidatedRow,
    )

INPUTS: Final[Name[Inputs]] = Name(
    "inputs.json"
)  # where this machine keeps base, captures, adapter, features
FACTS: Final[Name[TrainFacts]] = Name("train.json")  # what a finished training says of itself
# latency and the like, of a finished evaluation
MEASUREMENTS: Final[Name[Measurements]] = Name("measurements.json")
# the answers to the validation side, judged
VALIDATED: Final[Name[ValidatedRow]] = Name("validated.jsonl")
RESULT: Final[Name[Result]] = Name("result.json")  # the record of a finished stage, written last
REQUEST: Final[Name[Request]] = Name("request.json")  # what a rescore is asked for
ROWS: Final[Name[Rescored]] = Name("rows.json")  # what a rescore answers
DRAWN: Final[Name[Drawn]] = Name("drawn.json")  # what a recount is asked for
SHAPES: Final[Name[Shapes]] = Name("shapes.json")  # parameters of a model without weights
RECOUNTED: Final[Name[Recounted]] = Name("recounted.json")  # what a recount answers
ASKED: Final[Name[Asked]] = Name("asked.json")  # how captures are to be answered
BUNDLE: Final = "bundle"  # the members of the bundle that answers them
REPLAY: Final[Name[ReplayRequest]] = Name("replay.json")  # what a replay is asked for
REPLAYED: Final[Name[Replayed]] = Name("replayed.json")  # what a replay answers
SEALED: Final = "sealed"  # the CID of the last bundle that was sealed from a stage
HOLD: Final = "lock"  # held while a process works in the folder
FEATURES: Final = "features"  # of the cache, for all projects
BASES: Final = "bases"  # of the cache: digests of weight files
CHECKPOINTS: Final = "checkpoints"
METRICS: Final = "metrics.jsonl"  # the course of a training, for people: never content
ANSWERS: Final = "answers"  # finished runs of an evaluation, batches of captures answered
