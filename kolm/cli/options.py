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
POLICY = click.option(
    "--policy",
    "policy_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="What the bundle must pass (JSON). Default: the built-in policy.",
)
BELOW_GATE = click.option(
    "--allow-below-gate",
    is_flag=True,
    help="Use the bundle even if its scores miss its gate or the policy; warns.",
)
STORE = click.option(
    "--store",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("captures"),
    show_default=True,
    metavar="DIR",
    help="The folder of the capture store.",
)
