"""``kolm sweep``: many specs from one, trained and judged on the validation side; one is chosen."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kolm.cli import output
from kolm.cli.exit_codes import ExitCode
from kolm.cli.options import FOLDER, SPEC

if TYPE_CHECKING:
    from kolm.actions.sweeping import SweepResult


@click.command(short_help="Train a spec with several settings, and choose the best of them.")
@SPEC
@click.option(
    "--grid",
    multiple=True,
    required=True,
    metavar="KEY=V1,V2 | FILE",
    help="Values to try for a key of the spec, such as rank=4,16,64; or a YAML file of them.",
)
@click.option(
    "--output",
    "-o",
    type=FOLDER,
    help="The folder for table and figure. Default: NAME-sweep beside the spec.",
)
@click.option("--force", is_flag=True, help="Replace other files there.")
@click.option(
    "--jobs-out",
    type=FOLDER,
    metavar="DIR",
    help="Train nothing: write a list of commands, one a line; with all their results, the table.",
)
@click.option(
    "--point", type=int, metavar="N", help="Train one point alone, for --jobs-out: what a job does."
)
def command(spec: Path, grid: tuple[str, ...], **asked: Any) -> int:
    """Train SPEC with every combination of the grid's values, and choose the best.

    Every point is judged on the validation side; the eval side stays untouched for the one that is
    chosen. Writes a table (Markdown and CSV), the training losses (SVG), and NAME.best.yaml beside
    SPEC. A killed sweep goes on, and kolm compile NAME.best.yaml finds its training done.
    """
    from kolm import actions
    from kolm.spec.grid import read_grids

    out = output.current()
    result = actions.sweep(spec, read_grids(grid), reporter=out.reporter, **asked)
    best = "" if result.files is None else str(result.files.best)
    out.answer("cli-sweep", describe(spec, result), lambda: _for_people(result, out), brief=best)
    return ExitCode.DONE


def describe(spec: Path, result: SweepResult) -> dict[str, object]:
    """The answer as a document."""
    lock, table, files = result.planned.lock, result.table, result.files
    return {
        "spec": str(spec),
        "metric": lock["evaluation"]["metric"],
        "cases": result.planned.cases.count(b"\n"),
        "points": len(result.planned.points),
        "missing": list(result.missing),
        "jobs": None if result.jobs is None else str(result.jobs),
        "rows": [] if table is None else _rows(result),
        "best": None if table is None else table.best,
        "note": "" if table is None else table.note(),
        "files": None
        if files is None
        else {name: str(path) for name, path in files._asdict().items()},
    }


def _rows(result: SweepResult) -> list[dict[str, object]]:
    assert result.table is not None  # it has rows
    rows: list[dict[str, object]] = []
    for row in result.table.rows:
        one = row.result
        failed = bool(one.failure)
        rows.append(
            {
                "point": one.number,
                "settings": dict(one.settings),
                "failure": one.failure or None,
                "score": None if failed else one.scores.summary(),
                "covered": one.scores.covered,
                "p": row.p or None,
                "loss": one.loss or None,
                "steps": one.steps,
                "trained_numbers": one.trained_numbers,
                "state": one.state or None,
            }
        )
    return rows


def _for_people(result: SweepResult, out: output.Output) -> str:
    from kolm.actions.sweep_table import as_text

    count = len(result.planned.points)
    if result.table is None or result.files is None:
        lines = [f"results    {count - len(result.missing)} of {count} points"]
        if result.jobs is not None:
            lines.append(f"jobs       {result.jobs}, one command a line")
            lines.append("next       run them, then this command again")
        return "\n".join(lines)
    lines = [output.one_line(line) for line in as_text(result.table)]
    place = result.table.best
    lines[place] = out.paint(lines[place], "good")
    return "\n".join(
        [
            *lines,
            "",
            result.table.note(),
            "",
            f"table      {result.files.table}, {result.files.csv}",
            f"losses     {result.files.figure}",
            f"next       kolm compile {_arguments(result.files.best, result.planned.lock['name'])}",
        ]
    )


def _arguments(best: Path, name: str) -> str:
    """What compiles the best spec: to a file of its own where the bundle's name is taken."""
    if not (best.parent / f"{name}.kolm").exists():
        return shlex.quote(str(best))
    return shlex.join([str(best), "-o", str(best.parent / f"{name}.best.kolm")])
