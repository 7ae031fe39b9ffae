"""The compositions: every point of a sweep settled before the first is trained, and then run.

A point is a whole compile that stops before its evaluation. What a compile would refuse is refused
here for all points at once, and so are points that cannot be held against each other.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kolm import digest
from kolm.actions import prechecks
from kolm.actions.ahead import Ahead
from kolm.actions.measuring import measure
from kolm.actions.preparing import Parts, Prepared, gather, raise_together, settle
from kolm.actions.project import SpecSource, project_of
from kolm.actions.room import OTHER_BYTES, adapter_bytes, mebibytes, numbers_of, state_bytes
from kolm.actions.stages import is_validated, validated
from kolm.actions.sweep_results import PointResult, read_result
from kolm.capture.store import CaptureStore
from kolm.errors import KolmError, Lacking, Refused
from kolm.events import Reporter, Silent
from kolm.spec.grid import Grid, Point, points_of
from kolm.spec.load import load_spec, read_source
from kolm.spec.source import Part

if TYPE_CHECKING:
    from kolm.records.documents import Lock

# A point that cannot be trained is told in the table, and the others go on.
_OUTCOMES = ("E_TRAIN_NOT_FINITE",)


class Planned(NamedTuple):
    """A sweep that may begin.

    Attributes:
        source: the spec that it varies: a file, or None for one from Python.
        points: in the order of the grid.
        prepared: of each point.
        cases: the captures of the validation side, a line each.
    """

    source: Path | None
    points: Sequence[Point]
    prepared: Sequence[Prepared]
    cases: bytes

    @property
    def folder(self) -> Path:
        """The project's folder."""
        return self.prepared[0].project.folder

    @property
    def lock(self) -> Lock:
        """Of the first point: what all of them share."""
        return self.prepared[0].lock

    def done(self) -> list[bool]:
        """For each point whether it is trained and judged on this machine."""
        return [is_validated(prepared, self.cases) for prepared in self.prepared]


def plan_sweep(
    spec: SpecSource,
    grid: Grid,
    *,
    project: Path | None = None,
    reporter: Reporter | None = None,
) -> Planned:
    """Settle every point of a sweep, and refuse what cannot end well; nothing is trained.

    Args:
        spec: path of the YAML file, or the same content as a dict.
        grid: values a key, of which every combination is a point; or the points one by one.
        project: the folder that relative paths mean; the spec's own without it.
        reporter: hears progress and warnings.

    Raises:
        Usage: ``E_SWEEP_GRID``.
        Refused: ``E_SWEEP_NOT_COMPARABLE``, ``E_SWEEP_NO_VALIDATION``; or what a compile of a
            point would say, with its number.
        KolmError: what a compile raises before it trains.
    """
    told = reporter or Silent()
    load_spec(spec)  # the spec by itself comes first, with the lines of its file
    points = points_of(read_source(spec).value, grid)
    place = project_of(spec, project).folder
    shared: dict[str, Parts] = {}
    prepared = [_prepared(point, place, shared, told) for point in points]
    cases = _validation_cases(prepared[0])
    _demand_comparable(points, prepared)
    _demand_possible(points, prepared, told)
    _demand_room(prepared, cases)
    source = None if isinstance(spec, Mapping) else Path(spec)
    return Planned(source, points, prepared, cases)


def run_point(planned: Planned, number: int, reporter: Reporter) -> PointResult:
    """Train one point and judge it, or find both done.

    Args:
        planned: the sweep.
        number: of the point, from 1.
        reporter: hears progress.

    Raises:
        KolmError: what a stage raises, with the point in its words.
    """
    point, prepared = planned.points[number - 1], planned.prepared[number - 1]
    reporter.noted(f"point {number} of {len(planned.points)}: {point.label()}")
    try:
        with validated(prepared, planned.cases, reporter) as done:
            return read_result(point, done)
    except KolmError as error:
        if error.code in _OUTCOMES:
            reporter.warned(f"point {number} ({point.label()}): {error.message}")
            return PointResult.of_failure(point, error)
        error.message = f"point {number} ({point.label()}): {error.message}"
        raise


def _prepared(point: Point, place: Path, shared: dict[str, Parts], reporter: Reporter) -> Prepared:
    """A point as a compile would settle it; points of one base and data read these once."""
    try:
        parts = _parts(point.spec, place, shared, reporter)
        raise_together([error for _, error in parts.problems])
        return settle(point.spec, parts, measure, reporter)
    except KolmError as error:
        error.message = f"point {point.number} ({point.label()}): {error.message}"
        raise


def _parts(spec: Part, place: Path, shared: dict[str, Parts], reporter: Reporter) -> Parts:
    record = load_spec(spec)
    key = repr((record.base, record.data))
    if key not in shared:
        shared[key] = gather(spec, rows=None, project=place, reporter=reporter)
    return shared[key]._replace(spec=record)


def _validation_cases(prepared: Prepared) -> bytes:
    """The captures of the validation side as an evaluation reads cases.

    Raises:
        Refused: ``E_SWEEP_NO_VALIDATION``.
    """
    ids = [row.capture for row in prepared.snapshot.rows if row.split == "validation"]
    if not ids:
        raise Refused(
            "E_SWEEP_NO_VALIDATION",
            "a sweep is judged on the validation side, and it is empty",
            where="data",
            hint="split: {eval: 0.2, validation: 0.1}, or data.validation for an official split",
        )
    with CaptureStore.open_to_read(prepared.store_folder) as store:
        return b"".join(store.read(capture).data + b"\n" for capture in ids)


def _demand_comparable(points: Sequence[Point], prepared: Sequence[Prepared]) -> None:
    """Refuse points that are judged on other cases or by another metric than the first."""

    def judged(one: Prepared) -> tuple[object, object]:
        rows = one.snapshot.rows
        side = digest.of_value([row.capture for row in rows if row.split == "validation"])
        return side, one.lock["evaluation"]["metric"]

    first = judged(prepared[0])
    for point, one in zip(points, prepared, strict=True):
        if judged(one) != first:
            raise Refused(
                "E_SWEEP_NOT_COMPARABLE",
                f"point {point.number} ({point.label()}) is judged on other captures or by another "
                "metric than point 1",
                where="--grid",
                hint="vary neither data nor evaluation.metric in one sweep",
            )


def _demand_possible(
    points: Sequence[Point], prepared: Sequence[Prepared], reporter: Reporter
) -> None:
    """Ask of every point what a compile asks before it trains; each warning is told once."""
    encoded: set[str] = set()
    told: set[str] = set()
    for point, one in zip(points, prepared, strict=True):
        # The captures are encoded alike under the same budget: once is enough.
        budget = _budget(one.lock)
        known = frozenset({"eval", *(("train", "validation") if budget in encoded else ())})
        encoded.add(budget)
        ahead = Ahead(
            prepared=one,
            target=one.project.folder / f"{one.spec.name}.kolm",
            force=True,
            allow_below_gate=True,
            known=known,
            reporter=reporter,
        )
        for finding in prechecks.look(ahead):
            if finding.error is not None:
                finding.error.message = (
                    f"point {point.number} ({point.label()}): {finding.error.message}"
                )
                raise finding.error
            if finding.verdict == "warning" and finding.name != "audit":
                about = finding.message if finding.name != "settings" else ""
                if not about or about not in told:
                    told.add(about)
                    named = "" if about else f"point {point.number} ({point.label()}): "
                    reporter.warned(named + finding.message)


def _demand_room(prepared: Sequence[Prepared], cases: bytes) -> None:
    """Refuse a sweep whose trainings together need more than the disk has: each keeps its states.

    Raises:
        Lacking: ``E_DISK_FULL``.
    """
    need = OTHER_BYTES
    for one in prepared:
        if not is_validated(one, cases):
            train, numbers = one.lock["train"], numbers_of(one.lock, one.facts)
            states = (train["segments"] + 2) * state_bytes(numbers, train["optimizer"])
            need += states + adapter_bytes(numbers) + len(cases)
    folder = prepared[0].project.folder
    free = shutil.disk_usage(folder).free
    if free < need:
        raise Lacking(
            "E_DISK_FULL",
            "there is less room than this sweep will write",
            where=str(folder),
            expected=mebibytes(need),
            found=f"{free >> 20:,} MiB free",
            hint="make room (kolm clean shows what is kept), or set train.segments: 1, which keeps "
            "fewer states",
        )


def _budget(lock: Lock) -> str:
    train = lock["train"]
    budget = train["max_seq_length"], train["max_images"], train["shrink_images"]
    return repr((lock["base"]["root"], lock["base"]["template"], budget, train["objective"]))
