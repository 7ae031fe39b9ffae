"""``kolm policy``: what an auditor demands, to start from and to try before a bundle is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kolm.cli import output as _output
from kolm.cli.exit_codes import ExitCode
from kolm.cli.group import VerbGroup
from kolm.cli.options import FILE, TRUST, output_option
from kolm.counting import counted
from kolm.verify.policies import PURPOSES

if TYPE_CHECKING:
    from kolm.records.answers import PolicyCheck


@click.group(cls=VerbGroup, short_help="Write a policy to start from, and say what one asks.")
def command() -> None:
    """Write a policy to start from, and say what one asks.

    A policy is a file that says what a bundle must pass: `kolm verify --policy FILE`.
    """


@command.command("new")
@click.option(
    "--for",
    "purpose",
    type=click.Choice(tuple(PURPOSES)),
    required=True,
    help="; ".join(f"{name}: {told}" for name, told in PURPOSES.items()) + ".",
)
@output_option("The file. Default: PURPOSE.policy.yaml in this folder.")
@click.option("--force", is_flag=True, help="Replace another file of that name.")
def new(purpose: str, output: Path | None, force: bool) -> None:
    """Write a policy to start from, with what each clause is for."""
    from kolm.actions import policies

    out = _output.current()
    target = output or Path(f"{purpose}.policy.yaml")
    policies.new_policy(target, purpose=purpose, force=force)
    out.answer(
        "cli-policy-new",
        {"file": str(target), "purpose": purpose},
        f"wrote {target}: read it, change it, then  kolm policy check {target}",
        brief=str(target),
        wrote=target,
    )


@command.command("check", short_help="Say in words what a policy asks, and what nobody could meet.")
@click.argument("policy", type=FILE)
@TRUST
def check(policy: Path, trust: Path | None) -> None:
    """Say in words what POLICY asks, and what in it nothing could meet here.

    Exit code: 0 a bundle could meet it, 1 none could on this machine, 3 it is no policy.
    """
    from kolm.actions import policies

    out = _output.current()
    found = policies.check_policy(policy, trust=trust)
    out.answer(
        "cli-policy-check",
        found,
        lambda: _for_people(_output.in_lines(found), out),
        brief=found["digest"],
    )
    if found["problems"]:
        raise click.exceptions.Exit(ExitCode.NO)


def _for_people(found: PolicyCheck, out: _output.Output) -> str:
    lines = [f"{found['name']}   {found['digest']}"]
    last = ""
    for row in found["clauses"]:
        label = "" if row["clause"] == last else row["clause"]
        last = row["clause"]
        lines.append(f"  {label:20} {row['asks']}")
    lines += [f"  {'needs':20} {needed}" for needed in found["needs"]]
    for problem in found["problems"]:
        mark = out.paint("cannot be met", "bad")
        lines += [f"{mark}  {problem['clause']}: {problem['problem']}", f"    {problem['hint']}"]
    met = "A bundle could meet it here."
    lines.append(counted(len(found["problems"]), "problem") if found["problems"] else met)
    return "\n".join(lines)
