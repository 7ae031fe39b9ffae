"""``kolm help``: pages for what is no command: error codes, the verifier's questions, docs/."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap

import click

from kolm.cli import output
from kolm.cli.table import HELP
from kolm.errors import Usage, did_you_mean

PAGES = ("exit-codes", "environment", "pages")
_QUESTION = re.compile(r"V[0-9]{2}")
_WIDTH = 80


@click.command(short_help="Explain a command, error code, check or page.")
@click.argument("topic", required=False)
def command(topic: str | None) -> None:
    """Explain TOPIC.

    A command, an error code such as E_USAGE, a check of the verifier such as V21, exit-codes,
    environment, or a page of the documentation such as guides/verify; `kolm help pages` lists them.
    """
    out = output.current()
    text, extra = explain(topic)
    document = {"topic": topic or "kolm", "text": text, **extra}
    out.answer("cli-help", document, lambda: _for_people(text, page="page" in extra), brief=text)


def _for_people(text: str, *, page: bool) -> str:
    """A page of the documentation with its tables drawn and its lines filled."""
    if not page:
        return text
    from kolm.cli.markdown import render

    return render(text, colors=output.current().colors_on(sys.stdout))


def explain(topic: str | None) -> tuple[str, dict[str, object]]:
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
        parts = f"{row['code']}  ({row['family']})", row["cause"], row["remedy"]
        text = "\n\n".join(_filled(part) for part in parts)
        return text, {"error": row}
    if _QUESTION.fullmatch(topic.upper()):
        return _question(topic.upper())
    from kolm.cli import pages

    if topic == "pages":
        return "\n".join(pages.names()), {"pages": pages.names()}
    page = pages.name_of(topic)
    if page is not None:
        return pages.text(page).rstrip("\n"), {"page": page}
    raise Usage(
        "E_HELP_TOPIC",
        f'there is no help on "{topic}"',
        expected="a command, an error code, a check such as V21, or one of kolm help pages",
        hint=did_you_mean(topic, [*PAGES, *HELP, *known, *pages.names()], otherwise="kolm --help"),
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


def _question(number: str) -> tuple[str, dict[str, object]]:
    """A question of the verifier: what it asks, how it looks, and what it builds on."""
    from kolm.cli import pages

    check = pages.question(number)
    if check is None:
        raise Usage(
            "E_HELP_TOPIC",
            f"the verifier has no check {number}",
            hint="kolm help format/verification lists them",
        )
    how = inspect.cleandoc(check.body.__doc__ or "")
    row: dict[str, object] = {
        "id": check.id,
        "family": check.family,
        "question": check.question,
        "how": how,
        "reads": list(check.reads),
        "needs": list(check.needs),
    }
    how_told = "\n\n".join(_filled(part) for part in how.split("\n\n"))
    lines = [
        _filled(f"{check.id}  {check.question}", "     "),
        f"     {check.family}",
        "",
        how_told,
        "",
    ]
    lines += [f"reads  {', '.join(check.reads)}"] if check.reads else []
    lines += [f"needs  {', '.join(check.needs)}"] if check.needs else []
    told = pages.row_of("format/verification", number)
    meanings = {name: text for name, text in told.items() if name not in ("check", "question")}
    for name, meaning in meanings.items():
        lines += ["", _filled(f"{name}: {meaning}", "  ")]
    lines += ["", "All checks: kolm help format/verification"]
    text = re.sub("\n{3,}", "\n\n", "\n".join(lines))
    return text, {"check": {**row, "answers": meanings}}


def _filled(paragraph: str, indent: str = "") -> str:
    return textwrap.fill(paragraph, _WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def _exit_codes() -> tuple[str, dict[str, object]]:
    from kolm.cli.exit_codes import MEANINGS

    rows = [{"code": int(code), "meaning": meaning} for code, meaning in MEANINGS.items()]
    text = "\n".join(f"{row['code']:>5}  {row['meaning']}" for row in rows)
    return text, {"exit_codes": rows}


def _environment() -> tuple[str, dict[str, object]]:
    from kolm.settings import VARIABLES

    rows = [{"name": row.name, "purpose": row.purpose, "default": row.default} for row in VARIABLES]
    text = "\n".join(
        f"{row['name']}\n    {row['purpose']}\n    without it: {row['default']}" for row in rows
    )
    return text, {"variables": rows}
