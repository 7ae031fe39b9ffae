"""The command line: options that several commands share, so that they mean the same in each."""

from __future__ import annotations

from pathlib import Path

import click

TRUST = click.option(
    "--trust",
    "trust_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A trust file to use instead of your own.",
)
