"""Run: the names of a run folder's files, beside those of a bundle's members (`format.names`)."""

from __future__ import annotations

from typing import Final

INPUTS: Final = "inputs.json"  # where this machine keeps base, captures, adapter, features
FACTS: Final = "train.json"  # what a finished training says of itself
MEASUREMENTS: Final = "measurements.json"  # latency and the like, of a finished evaluation
RESULT: Final = "result.json"  # the record of a finished stage, written last
REQUEST: Final = "request.json"  # what a rescore is asked for
ROWS: Final = "rows.json"  # what a rescore answers
HOLD: Final = "lock"  # held while a process works in the folder
FEATURES: Final = "features"  # of the cache, for all projects
CHECKPOINTS: Final = "checkpoints"
ANSWERS: Final = "answers"  # finished runs of an evaluation that is not finished
