"""``kolm init``: start a project folder."""

from __future__ import annotations

from pathlib import Path

import click

from kolm.cli import output
from kolm.cli.options import FOLDER

EXAMPLE_NAMES = ("easy-vqa", "gauges", "plates")


@click.command(short_help="Start a project folder with a spec and, if wanted, example data.")
@click.argument("folder", default=".", type=FOLDER)
@click.option(
    "--example",
    type=click.Choice(EXAMPLE_NAMES),
    help="easy-vqa: public data on the embedded base. gauges, plates: pictures drawn here.",
)
def command(folder: Path, example: str | None) -> None:
    """Start a project in FOLDER: kolm.yaml and .gitignore, and an example's data.

    Overwrites nothing.
    """
    from kolm.cli import examples

    out = output.current()
    out.reporter.noted(f"writing the project into {folder}")
    write = examples.EXAMPLES[example] if example else examples.write_plain
    following = write(folder)
    files = sorted(path.name for path in folder.iterdir())
    document = {"folder": str(folder), "files": files, "next": list(following)}
    place = "this folder" if folder == Path() else folder
    enter = "" if folder == Path() else f"  cd {folder}\n"
    steps = "\n".join(f"  {line}" for line in following)
    rows = "" if example else "\nWhat pairs.jsonl holds: kolm help guides/capture"
    told = f"A project is in {place}. Next:\n{enter}{steps}{rows}"
    out.answer("cli-init", document, told)
