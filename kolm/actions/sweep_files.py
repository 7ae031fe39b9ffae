"""The compositions: what a sweep leaves: table, figure, the best spec, and lists of jobs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from kolm import outputs, paths, system
from kolm.actions.loss_figure import Curve, draw
from kolm.actions.sweep_plan import Planned
from kolm.actions.sweep_results import PointResult, find_result, identity
from kolm.actions.sweep_table import Ranked, as_csv, as_markdown
from kolm.spec.grid import Point, written
from kolm.spec.load import load_spec
from kolm.spec.source import read_yaml

TABLE, CSV, FIGURE = "table.md", "table.csv", "loss.svg"
POINTS, JOBS, RESULTS = "points.yaml", "jobs.txt", "results"


class Written(NamedTuple):
    """The files of a sweep.

    Attributes:
        table: Markdown.
        csv: the same for a spreadsheet.
        figure: the training losses.
        best: the spec of the best point, beside the spec that was varied.
    """

    table: Path
    csv: Path
    figure: Path
    best: Path


def files_of(planned: Planned, folder: Path | None) -> Written:
    """Where a sweep's files go: a folder of their own, and the best spec beside the first one.

    Args:
        planned: the sweep.
        folder: that the user named.
    """
    stem = planned.source.stem if planned.source is not None else planned.lock["name"]
    beside = planned.folder if planned.source is None else planned.source.parent
    place = folder or beside / f"{stem}-sweep"
    return Written(place / TABLE, place / CSV, place / FIGURE, beside / f"{stem}.best.yaml")


def write_files(planned: Planned, table: Ranked, to: Written, *, force: bool) -> None:
    """Write a sweep's files; those that are there and the same stay.

    Raises:
        Usage: ``E_TARGET_EXISTS``.
    """
    name = planned.lock["name"]
    best = planned.points[table.best - 1]
    outputs.write(to.table, as_markdown(table, f"Sweep of {name}").encode(), force=force)
    outputs.write(to.csv, as_csv(table).encode(), force=force)
    outputs.write(to.figure, _figure(table, name).encode(), force=force)
    outputs.write(to.best, best_spec(best, table).encode(), force=force)


def best_spec(point: Point, table: Ranked) -> str:
    """The spec of a point as YAML, with what it was chosen by."""
    chosen = f"point {point.number} of {len(table.rows)} ({point.label()})"
    head = [
        f"# Chosen by kolm sweep: {chosen}.",
        f"# The best of several scores, on {table.cases} validation cases, is an overestimate:",
        "# kolm compile judges this spec on the eval side, which no point of the sweep has seen.",
    ]
    text = "\n".join([*head, *_yaml(point.spec), ""])
    if load_spec(read_yaml(text.encode(), name="best").value) != load_spec(point.spec):
        raise AssertionError("the best spec would be written otherwise than it was trained")
    return text


def write_jobs(planned: Planned, folder: Path, found: Mapping[int, PointResult]) -> Path:
    """Write the points, and one command for each that has no result yet, into a folder of jobs.

    Returns:
        The list of commands.
    """
    points, jobs = folder / POINTS, folder / JOBS
    spec = str(Path(str(planned.source)).absolute())
    told = "\n".join(
        f"- {{{', '.join(f'{key}: {_flow(value)}' for key, value in point.settings.items())}}}"
        for point in planned.points
    )
    with system.naming(folder):
        (folder / RESULTS).mkdir(parents=True, exist_ok=True)
    paths.atomic_write(points, (told + "\n").encode())
    words = ["kolm", "sweep", spec, "--grid", str(points.absolute())]
    words += ["--jobs-out", str(folder.absolute())]
    commands = [
        shlex.join([*words, "--point", str(point.number)]) + "\n"
        for point in planned.points
        if point.number not in found
    ]
    paths.atomic_write(jobs, "".join(commands).encode())
    return jobs


def result_path(folder: Path, number: int) -> Path:
    """Where the job of a point leaves its result."""
    return folder / RESULTS / f"{number:04d}.json"


def gather(planned: Planned, folder: Path) -> dict[int, PointResult]:
    """The results that jobs left in a folder, of this sweep and no other."""
    cases = planned.cases.count(b"\n")
    found = {}
    for point, prepared in zip(planned.points, planned.prepared, strict=True):
        of = identity(point, prepared.snapshot.digest, planned.cases)
        result = find_result(result_path(folder, point.number), point, of, cases)
        if result is not None:
            found[point.number] = result
    return found


def _figure(table: Ranked, name: str) -> str:
    curves = [
        Curve(
            f"{row.result.number}: {row.result.label}",
            row.result.curve,
            row.result.number == table.best,
        )
        for row in table.rows
        if row.result.curve
    ]
    return draw(curves, f"{name}: training loss of {len(curves)} points")


def _yaml(value: Mapping[str, object], indent: str = "") -> Iterator[str]:
    """A spec's value as YAML in blocks; what is deeper than a key of train stays on its line."""
    for key, item in value.items():
        if isinstance(item, Mapping) and item and len(indent) < 2:
            yield f"{indent}{key}:"
            yield from _yaml(item, indent + "  ")
        else:
            yield f"{indent}{key}: {_flow(item)}"


def _flow(value: object) -> str:
    """A value in YAML's flow style, which reads back as the same value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float | Decimal):
        text = written(value)
        return text if "." in text else f"{text}.0"
    return _quoted(str(value))


def _quoted(text: str) -> str:
    """A text as YAML reads it back: plain where it is a word or a path, else in quotes."""
    plain = text.replace("/", "").replace("_", "").replace("-", "").replace(".", "")
    word = plain.isascii() and plain.isalnum() and text[0].isalpha()
    reserved = text.lower() in ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
    return text if word and not reserved else json.dumps(text, ensure_ascii=False)
