"""``kolm help``: pages for what is no command: exit codes, the environment, error codes."""

from __future__ import annotations

import difflib
from typing import Any

import click

from kolm.cli import output
from kolm.cli.table import HELP
from kolm.errors import Usage

PAGES = ("exit-codes", "environment")


@click.command(short_help="Explain a command, an error code, exit codes or the environment.")
@click.argument("topic", required=False)
def command(topic: str | None) -> None:
    """Explain TOPIC: a command, an error code such as E_USAGE, exit-codes or environment."""
    out = output.current()
    text, extra = explain(topic)
    out.reporter.noted("the same pages are in docs/reference/")
    document = {"schema": "urn:kolm:cli-help:v1", "topic": topic or "kolm", "text": text, **extra}
    out.answer(document, text, brief=text)


def explain(topic: str | None) -> tuple[str, dict[str, Any]]:
    """The text of a topic, and its parts for --json.

    Raises:
        Usage: there is no such topic; names the nearest.
    """
    if topic is None:
        return _command_page(()), {}
    if topic == "exit-codes":
        return _exit_codes()
    if topic == "environment":
        return _environment()
    if topic in HELP:
        return _command_page((topic,)), {}
    from kolm.cli.error_table import rows

    known = rows()
    if topic.upper() in known:
        row = known[topic.upper()]
        text = f"{row['code']}  ({row['family']})\n\n{row['cause']}\n\n{row['remedy']}"
        return text, {"error": row}
    near = difflib.get_close_matches(topic, [*PAGES, *HELP, *known], n=1)
    raise Usage(
        "E_HELP_TOPIC",
        f'there is no help on "{topic}"',
        expected="a command, an error code, exit-codes or environment",
        hint=f"did you mean {near[0]}?" if near else "kolm --help",
    )


def _command_page(path: tuple[str, ...]) -> str:
    from kolm.cli.main import root

    context = click.Context(root, info_name="kolm", **root.context_settings)
    for name in path:
        child = root.get_command(context, name)
        if child is None:
            raise AssertionError(f"{name} is in the table and not in the group")
        context = click.Context(child, info_name=name, parent=context)
    return context.command.get_help(context)


def _exit_codes() -> tuple[str, dict[str, Any]]:
    from kolm.cli.exit_codes import MEANINGS

    rows = [{"code": int(code), "meaning": meaning} for code, meaning in MEANINGS.items()]
    text = "\n".join(f"{row['code']:>5}  {row['meaning']}" for row in rows)
    return text, {"exit_codes": rows}


def _environment() -> tuple[str, dict[str, Any]]:
    from kolm.settings import VARIABLES

    rows = [{"name": row.name, "purpose": row.purpose, "default": row.default} for row in VARIABLES]
    text = "\n".join(
        f"{row['name']}\n    {row['purpose']}\n    without it: {row['default']}" for row in rows
    )
    return text, {"variables": rows}
