"""``kolm capture template|pairs|judge``: captures made: by a person, by a model, and judged."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from kolm.cli import output
from kolm.cli.options import output_option
from kolm.counting import counted

SPLITS = click.Choice(["train", "validation", "eval"])


@click.command("template")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--prompt", "prompts", multiple=True, required=True, help="The question; may be repeated."
)
@output_option("The file, .jsonl or .csv. Default: annotate.jsonl in FOLDER.")
@click.option("--in-turn", is_flag=True, help="One prompt a picture, in turn, instead of all.")
@click.option("--answer", default="the answer", show_default=True, help="What is to be filled in.")
@click.option("--rejected", is_flag=True, help="Ask for a worse answer too.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Of every row; repeatable.")
@click.option("--license", default="", help="SPDX id of every row's licence.")
@click.option("--split", type=SPLITS, help="The side of the split for every row.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def template(folder: Path, **asked: Any) -> None:
    """Write rows about the pictures of FOLDER for a person to fill in.

    Fill in each [ANNOTATE: …], or delete the row; an import refuses the file until then.
    """
    from kolm.actions import templating

    done = templating.write_template(folder, **asked)
    words = ["kolm", "capture", "import", str(done.file)]
    words += [] if done.images is None else ["--images", str(done.images)]
    document = {
        "file": str(done.file),
        "images_folder": None if done.images is None else str(done.images),
        "left_out": done.left_out,
        "pictures": done.pictures,
        "rows": done.rows,
    }
    out = output.current()
    if done.left_out:
        out.reporter.warned(
            f"{counted(done.left_out, 'picture')} left out: only PNG, JPEG and WebP are taken"
        )
    text = (
        f"{counted(done.rows, 'row')} to fill in, about {counted(done.pictures, 'picture')}: "
        f"{done.file}\nthen: {shlex.join(words)}"
    )
    out.answer("cli-capture-template", document, text, brief=str(done.file), wrote=done.file)


COMMANDS = (template,)
