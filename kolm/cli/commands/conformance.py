"""``kolm conformance``: another verifier, held to the answers that are due."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kolm.cli import output
from kolm.cli.exit_codes import ExitCode
from kolm.cli.options import FOLDER
from kolm.counting import listed

if TYPE_CHECKING:
    from kolm.records.answers import Conformance


@click.command(short_help="Hold another verifier to a corpus of bundles with known answers.")
@click.argument("runner")
@click.argument("folder", type=FOLDER)
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="How many at once."
)
def command(runner: str, folder: Path, jobs: int) -> None:
    """Run RUNNER on every bundle of the corpus in FOLDER and compare its answers.

    RUNNER is one argument, such as 'kolm verify --json'. It is called with a bundle and
    --trust FILE, and with --policy FILE or --request FILE where the corpus says so,
    and answers by exit code: 0 accepted, 1 refused, 3 undecided.

    Exit code: 0 every answer is the one that is due, 1 some are not.
    """
    from kolm.actions.conformance import conformance

    out = output.current()
    found = conformance(shlex.split(runner), folder, jobs=jobs, reporter=out.reporter)
    out.answer(
        "cli-conformance",
        found,
        lambda: _for_people(output.in_lines(found)),
        brief=f"{found['agreed']}/{found['bundles']}",
    )
    if found["disagreements"]:
        raise click.exceptions.Exit(ExitCode.NO)


def _for_people(found: Conformance) -> str:
    lines = [
        f"{row['file']}: due is {row['expected']}; the answer was: {row['found']}"
        for row in found["disagreements"]
    ]
    said = f"{found['agreed']} of {found['bundles']} answers are those that are due"
    return "\n".join([*([listed(lines, 40)] if lines else []), said])
