"""The command line: the root group, which imports a command only when it is called.

Click asks every command for its short help when it prints ``--help`` or completes a word, which
would import them all. Here both read `kolm.cli.table` instead.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import click

from kolm.cli.flags import attach
from kolm.cli.table import HELP, SECTIONS

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class LazyGroup(click.Group):
    """A group over the table of commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(HELP)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module, and give it the global options."""
        if cmd_name not in HELP:
            return None
        module = import_module(f"kolm.cli.commands.{cmd_name}")
        command: click.Command = module.command
        return attach(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As Click does, with the table's names as suggestions for a misspelt command."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(
                error.command_name, possibilities=list(HELP), ctx=ctx
            ) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the table, one heading a section."""
        for section in SECTIONS:
            with formatter.section(section.title):
                formatter.write_dl(list(section.commands), col_max=12)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete command names from the table, options as Click does."""
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(name, help=line)
            for name, line in HELP.items()
            if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]


class VerbGroup(click.Group):
    """A group of verbs, whose help shows the first sentence of each in full."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As Click does, which cuts a sentence off where the line ends."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, self.commands[name].get_short_help_str(limit=1000))
                    for name in self.list_commands(ctx)
                ]
            )


def short_for(group: click.Command, verb: str, *, name: str) -> click.Command:
    """A top-level command that is one verb of a group, with the same options and help."""
    if not isinstance(group, click.Group) or verb not in group.commands:
        raise AssertionError(f"{group.name} has no verb {verb}")
    from copy import copy

    same = copy(group.commands[verb])
    same.params = list(same.params)
    same.name = name
    same.short_help = HELP[name]
    return same
