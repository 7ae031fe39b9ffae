"""The compositions: what one point of a sweep came to, and its document for a folder of jobs.

No time or place is in it, so a point gives the same result whenever and wherever it was run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kolm import canonical, digest, paths, schema, system
from kolm.actions.stages import Finished
from kolm.bundle import tensors as safetensors
from kolm.digest import Digest
from kolm.errors import KolmError, Refused
from kolm.format import names
from kolm.records import kinds
from kolm.run import folder as files
from kolm.run.names import FACTS, VALIDATED
from kolm.score.intervals import summarise
from kolm.score.rounding import in_millionths
from kolm.spec.grid import Point, written
from kolm.spec.load import load_spec

if TYPE_CHECKING:
    from kolm.records.documents import EvaluationAccuracy, SweepPoint

CURVE_POINTS: Final = 200  # more than a figure shows, few enough to read
_LAST_SHARE: Final = (
    10  # the loss of a run is the mean of its last tenth: single batches differ too much
)


class Scores(NamedTuple):
    """The scores of a point: one a case, in millionths, in the order of the cases' ids."""

    millionths: tuple[int, ...]
    covered: int

    def summary(self) -> EvaluationAccuracy:
        """The mean and its interval."""
        return summarise(self.millionths)


class PointResult(NamedTuple):
    """What a point came to.

    Attributes:
        number: of the point.
        settings: what it sets, in words.
        label: of the point, in words.
        failure: the code of the error that ended its training; the rest is empty then.
        steps: that it trained.
        trained_numbers: how many numbers its adapter has.
        loss: the mean training loss of the last tenth of the steps.
        curve: (step, mean training loss) of even parts of the run.
        scores: on the validation side.
        state: the last state of its training; ``train.continues`` goes on from it.
    """

    number: int
    settings: tuple[tuple[str, str], ...]
    label: str
    failure: str = ""
    steps: int = 0
    trained_numbers: int = 0
    loss: str = ""
    curve: tuple[tuple[int, str], ...] = ()
    scores: Scores = Scores((), 0)
    state: str = ""

    @classmethod
    def of_failure(cls, point: Point, error: KolmError) -> PointResult:
        """Of a point that could not be trained to its end."""
        return cls(point.number, _settings(point), point.label(), failure=error.code)


def read_result(point: Point, done: Finished) -> PointResult:
    """The result of a point from the folders of its stages."""
    rows = files.read_rows(done.evaluated, VALIDATED)
    trace = files.read_rows(done.trained, names.TRACE)
    losses = [Decimal(row["loss"]) for row in trace if row["kind"] == "step"]
    weights = files.read(done.trained, names.WEIGHTS)
    last = losses[-max(1, len(losses) // _LAST_SHARE) :]
    return PointResult(
        number=point.number,
        settings=_settings(point),
        label=point.label(),
        steps=len(losses),
        trained_numbers=sum(
            prod(entry.shape) for entry in safetensors.parse_header(weights, where=names.WEIGHTS)
        ),
        loss=_mean(last),
        curve=tuple(_curve(losses)),
        scores=Scores(
            tuple(in_millionths(row["score"]) for row in rows),
            sum(row["covered"] for row in rows),
        ),
        state=files.read_document(done.trained, FACTS)["state_last"],
    )


def identity(point: Point, snapshot: Digest, cases: bytes) -> Digest:
    """What a point's result is of: its spec, and the captures that it learns and is judged by."""
    spec = asdict(load_spec(point.spec))
    data = {"spec": spec, "snapshot": snapshot, "cases": digest.of_bytes(cases)}
    return digest.of_value(data)


def write_result(path: Path, result: PointResult, of: Digest) -> None:
    """Keep a point's result for whoever gathers the sweep; whole or not at all."""
    document: SweepPoint = {
        "schema": "urn:kolm:sweep_point:v1",
        "of": of,
        "failure": result.failure,
        "steps": result.steps,
        "trained_numbers": result.trained_numbers,
        "loss": result.loss,
        "curve": [{"step": step, "loss": loss} for step, loss in result.curve],
        "scores_millionths": list(result.scores.millionths),
        "covered": result.scores.covered,
        "state": result.state,
    }
    paths.atomic_write(path, canonical.dumps(document) + b"\n")


def find_result(path: Path, point: Point, of: Digest, cases: int) -> PointResult | None:
    """A point's result where it was kept; None where there is none, or one of something else.

    Args:
        path: of the file.
        point: of the sweep.
        of: `identity` of the point.
        cases: how many captures the validation side has.

    Raises:
        Refused: what is there is no such document.
    """
    if not path.is_file():
        return None
    with system.naming(path):
        data = path.read_bytes()
    value: Any = canonical.loads(data, where=path.name)
    document = schema.check(kinds.SWEEP_POINT, value, where=path.name)
    if document["of"] != of:
        return None
    scores = document["scores_millionths"]
    if len(scores) != (0 if document["failure"] else cases):
        message = "a result of a point does not have one score for each validation case"
        raise Refused(
            "E_SWEEP_RESULT",
            message,
            where=str(path),
            expected=str(cases),
            found=str(len(scores)),
            hint="remove the file and run its job again",
        )
    return PointResult(
        number=point.number,
        settings=_settings(point),
        label=point.label(),
        failure=document["failure"],
        steps=document["steps"],
        trained_numbers=document["trained_numbers"],
        loss=document["loss"],
        curve=tuple((row["step"], row["loss"]) for row in document["curve"]),
        scores=Scores(tuple(scores), document["covered"]),
        state=document["state"],
    )


def _settings(point: Point) -> tuple[tuple[str, str], ...]:
    return tuple((key, written(value)) for key, value in point.settings.items())


def _curve(losses: Sequence[Decimal]) -> list[tuple[int, str]]:
    """Means of even parts of a run, each at its last step."""
    parts = min(CURVE_POINTS, len(losses))
    ends = [number * len(losses) // parts for number in range(parts + 1)]
    return [(end, _mean(losses[start:end])) for start, end in pairwise(ends)]


def _mean(values: Sequence[Decimal]) -> str:
    return canonical.decimal(sum(values, Decimal(0)) / len(values), 6)
