"""The compositions: many specs trained and judged on the validation side, and one of them chosen.

    points -> settle all -> train, validate, each found by its key -> table, figure, best spec

The eval side stays untouched for the spec that is chosen. What is finished is found by a stage's
key, so a sweep that was killed goes on, and the compile of the best spec finds its training done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kolm import outputs
from kolm.actions import sweep_files
from kolm.actions.project import SpecSource
from kolm.actions.sweep_files import Written
from kolm.actions.sweep_plan import Planned, plan_sweep, run_point
from kolm.actions.sweep_results import PointResult, identity, write_result
from kolm.actions.sweep_table import Ranked, rank
from kolm.errors import Refused, Usage
from kolm.events import Reporter, Silent
from kolm.spec.grid import Grid


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """What a sweep gives.

    Attributes:
        planned: the points as they were settled.
        table: the results; None while jobs have to be run elsewhere.
        files: the table, the figure and the best spec on disk; None without a table.
        jobs: the list of commands that was written.
        missing: the numbers of the points that have no result yet.
    """

    planned: Planned
    table: Ranked | None = None
    files: Written | None = None
    jobs: Path | None = None
    missing: tuple[int, ...] = ()


def sweep(
    spec: SpecSource,
    grid: Grid,
    *,
    project: Path | None = None,
    output: Path | None = None,
    force: bool = False,
    jobs_out: Path | None = None,
    point: int | None = None,
    reporter: Reporter | None = None,
) -> SweepResult:
    """Train every point of a grid, judge each on the validation side, and choose the best.

    Args:
        spec: path of the YAML file, or the same content as a dict.
        grid: ``{"train.method.rank": [4, 16]}``, of which every combination is a point; or a list
            of points, each ``{"train.method.rank": 4}``.
        project: the folder that relative paths mean; the spec's own without it.
        output: the folder of table and figure; ``NAME-sweep`` beside the spec without it.
        force: replace other files there.
        jobs_out: run nothing, and write a list of commands there, one for each point without a
            result; once all have one, make the table.
        point: with `jobs_out`: run this point alone, and leave its result there.
        reporter: hears progress.

    Raises:
        Usage: the grid does not hold, a target is there, or the point is none of the grid's.
        Refused: a point cannot be compiled, or points cannot be compared.
        KolmError: what a stage raises. What was finished is found again by the next call.
    """
    told = reporter or Silent()
    if point is not None and jobs_out is None:
        raise Usage("E_SWEEP_POINT", "one point alone is run for a folder of jobs: --jobs-out")
    planned = plan_sweep(spec, grid, project=project, reporter=told)
    if jobs_out is not None and planned.source is None:
        raise Usage("E_SWEEP_POINT", "a list of jobs needs a spec that is a file")
    if jobs_out is not None and point is not None:
        return _one(planned, point, jobs_out, told)
    to = sweep_files.files_of(planned, output)
    if jobs_out is not None:
        found = sweep_files.gather(planned, jobs_out)
        missing = tuple(one.number for one in planned.points if one.number not in found)
        jobs = sweep_files.write_jobs(planned, jobs_out, found)
        if missing:
            return SweepResult(planned=planned, jobs=jobs, missing=missing)
        return _ranked(planned, list(found.values()), to, force=force)
    if not all(planned.done()):
        for target in to:  # rather than after hours of training
            outputs.demand_free(target, force=force)
    return _ranked(planned, _all(planned, told), to, force=force)


def _all(planned: Planned, reporter: Reporter) -> list[PointResult]:
    reporter.started("sweep", len(planned.points), "points")
    results = []
    for one in planned.points:
        results.append(run_point(planned, one.number, reporter))
        reporter.advanced("sweep", one.number)
    reporter.finished("sweep")
    return results


def _one(planned: Planned, number: int, folder: Path, reporter: Reporter) -> SweepResult:
    """Run one point for whoever gathers the sweep."""
    if not 1 <= number <= len(planned.points):
        raise Usage(
            "E_SWEEP_POINT",
            "the grid has no point of this number",
            where="--point",
            expected=f"1 to {len(planned.points)}",
            found=str(number),
        )
    result = run_point(planned, number, reporter)
    one, prepared = planned.points[number - 1], planned.prepared[number - 1]
    of = identity(one, prepared.snapshot.digest, planned.cases)
    write_result(sweep_files.result_path(folder, number), result, of)
    found: Mapping[int, PointResult] = sweep_files.gather(planned, folder)
    missing = tuple(point.number for point in planned.points if point.number not in found)
    return SweepResult(planned=planned, missing=missing)


def _ranked(
    planned: Planned, results: Sequence[PointResult], to: Written, *, force: bool
) -> SweepResult:
    table = rank(results)
    if table is None:
        raise Refused(
            "E_SWEEP_NOTHING_TRAINED",
            "no point of the sweep could be trained",
            found="; ".join(f"{one.label}: {one.failure}" for one in results)[:2000],
            hint="lower train.learning_rate, or raise train.warmup_steps",
        )
    sweep_files.write_files(planned, table, to, force=force)
    return SweepResult(planned=planned, table=table, files=to)
