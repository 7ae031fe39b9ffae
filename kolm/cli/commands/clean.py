"""``kolm clean``: what kolm keeps to be faster, and freeing it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kolm.cli import output

if TYPE_CHECKING:
    from kolm.actions.cleaning import Kept


@click.command(short_help="Show what kolm keeps to be faster, and free it.")
@click.argument(
    "project", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False)
)
@click.option("--runs", is_flag=True, help="Free this project's trainings and evaluations.")
@click.option("--rows", is_flag=True, help="Free this project's stores made of rows from Python.")
@click.option("--features", is_flag=True, help="Free the vision features of all projects.")
@click.option("--bases", is_flag=True, help="Forget the digests of bases; they are hashed again.")
def command(project: Path | None, runs: bool, rows: bool, features: bool, bases: bool) -> None:
    """Show what kolm keeps for PROJECT (default: this folder), and free what the flags name.

    Captures, specs, bundles and keys are never touched. What is freed is made again when it is
    needed, with the same bits; a finished training is then trained again. What a running compile
    works with is left alone.
    """
    from kolm.actions import cleaning
    from kolm.run.names import BASES, FEATURES

    out = output.current()
    chosen = {cleaning.RUNS: runs, cleaning.ROWS: rows, FEATURES: features, BASES: bases}
    kept = cleaning.clean(project, free=[kind for kind, wanted in chosen.items() if wanted])
    freed = sum(one.size_bytes for one in kept if one.freed)
    document = {"kept": [_described(one) for one in kept], "freed_bytes": freed}
    out.answer("cli-clean", document, lambda: _for_people(kept, freed, project), brief=str(freed))


def _described(one: Kept) -> dict[str, object]:
    return {
        "kind": one.kind,
        "name": one.name,
        "path": str(one.path),
        "size_bytes": one.size_bytes,
        "used_on": one.used_on.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "freed": one.freed,
        "busy": one.busy,
        **({"sealed": one.sealed} if one.sealed else {}),
    }


def _for_people(kept: list[Kept], freed: int, project: Path | None) -> str:
    if not kept:
        return "nothing is kept here"
    lines = []
    for one in kept:
        state = "freed" if one.freed else "in use" if one.busy else "kept"
        when = one.used_on.strftime("%Y-%m-%d")
        of = f", {output.one_line(one.spec)}" if one.spec else ""
        lines.append(f"{state:7} {one.kind:9} {_size(one.size_bytes):>10}  {when}  {one.name}{of}")
        lines.append(f"        {one.path}")
        if one.sealed:
            lines.append(f"        sealed as {output.one_line(one.sealed)}")
    lines.append(f"{_size(freed)} freed, {_size(sum(one.size_bytes for one in kept) - freed)} kept")
    if not freed:
        flags = [f"--{kind}" for kind in dict.fromkeys(one.kind for one in kept)]
        named = [] if project is None else [str(project)]
        again = shlex.join(["kolm", "clean", *named, *flags])
        lines.append(f"next    {again}   frees all of it, each flag alone its kind")
    return "\n".join(lines)


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:,.1f} MiB"
