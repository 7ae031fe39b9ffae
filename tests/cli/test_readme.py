"""The documents' own commands and links, held to the real parser and the real files."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest

from kolm.cli.main import root

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "Makefile",
    *sorted((ROOT / "docs").rglob("*.md")),
]
GENERATED = ROOT / "docs" / "reference"


def command_lines(page: Path) -> Iterator[str]:
    """The kolm calls in shell blocks, and in the recipes of a Makefile."""
    fence = None
    for line in page.read_text(encoding="utf-8").splitlines():
        mark = re.match(r"\s*```(\w*)", line)
        if mark:
            fence = None if fence is not None else mark[1]
        elif page.name == "Makefile":
            found = re.search(r"\$\(KOLM\) (.*)", line)
            if found:
                yield "kolm " + found[1].replace("$$", "$")
        elif fence in ("console", "sh", "bash", "shell"):
            bare = re.sub(r"^\s*\$ ", "", line).split("   #")[0]
            bare = re.sub(r"^([A-Z_]+=\S+ )+", "", bare)
            if bare.startswith("kolm "):
                yield bare


CALLS = [
    pytest.param(line, id=f"{page.relative_to(ROOT)}: {line}")
    for page in PAGES
    if page.parent != GENERATED
    for line in command_lines(page)
]


def parse(words: list[str]) -> None:
    """Parse a call down to its last command, without running it."""
    command: click.Command = root
    context = command.make_context("kolm", list(words))
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        name, child, rest = command.resolve_command(context, rest)
        assert child is not None
        command = child
        context = command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("line", CALLS)
def test_every_command_line_in_the_documents_parses(line: str) -> None:
    words = shlex.split(line.split(" > ")[0].split(" | ")[0].split(" && ")[0])
    with suppress(click.exceptions.Exit):  # a page was asked for
        parse(words[1:])


def test_the_documents_show_commands() -> None:
    assert len(CALLS) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), target
