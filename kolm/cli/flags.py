"""The command line: the global flags, kept once for the whole process.

They may stand before or after the subcommand. Their values live here and not in the parameters
of each command, so that no command can forget one.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import click


class Flags(NamedTuple):
    """What the user asked of every command.

    Attributes:
        json: stdout is one JSON document.
        quiet: stderr shows errors only, stdout the shortest answer.
        verbose: notes and timings on stderr.
        yes: answer confirmations with yes.
        debug: show tracebacks.
        color: ``auto``, ``always`` or ``never``.
    """

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    offline: bool = False
    yes: bool = False
    debug: bool = False
    color: str = "auto"


_flags = Flags()


def current() -> Flags:
    """The flags of the running command."""
    return _flags


def reset(arguments: Sequence[str] = ()) -> None:
    """Start a command: defaults, plus what an error during parsing must already honour."""
    global _flags  # noqa: PLW0603 - one process runs one command
    early = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if _flags.offline:
        _forbid_network(False)
    _flags = Flags(json="--json" in early, debug="--debug" in early)


def _record(_context: click.Context, parameter: click.Parameter, value: Any) -> None:
    global _flags  # noqa: PLW0603 - see reset
    if not value:
        return
    name = str(parameter.name)
    _flags = _flags._replace(**{name: value})
    if name == "offline":
        _forbid_network(True)
    if _flags.quiet and _flags.verbose:
        raise click.UsageError("-q and -v exclude each other")


def _forbid_network(value: bool) -> None:
    from kolm import settings  # not at the top: --help answers without it

    settings.set_offline(value)


class GlobalOption(click.Option):
    """An option that every command takes and only ``kolm --help`` lists."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Keep the pages of the subcommands short: the root page explains these once."""
        return super().get_help_record(ctx) if ctx.parent is None else None


def global_options() -> list[click.Parameter]:
    """Fresh option objects for one command."""

    def switch(names: list[str], line: str) -> GlobalOption:
        return GlobalOption(names, is_flag=True, expose_value=False, callback=_record, help=line)

    return [
        switch(
            ["--json"], "Print exactly one JSON document: the answer on stdout, an error on stderr."
        ),
        switch(["-q", "--quiet"], "Show errors only, and the shortest answer."),
        switch(["-v", "--verbose"], "Show notes and timings too."),
        switch(["--offline"], "Refuse whatever needs the network."),
        switch(["--yes"], "Answer confirmations with yes."),
        switch(["--debug"], "Show the traceback of an error."),
        GlobalOption(
            ["--color"],
            type=click.Choice(["auto", "always", "never"]),
            expose_value=False,
            callback=_record,
            help="When to use colour; NO_COLOR is honoured.",
        ),
    ]


GLOBAL_EPILOG = "Global options (--json, -q, -v, …) work here too: kolm --help"


def attach(command: click.Command) -> click.Command:
    """Give `command`, and every command below it, the global options. Idempotent."""
    if not any(isinstance(parameter, GlobalOption) for parameter in command.params):
        command.params.extend(global_options())
        command.epilog = command.epilog or GLOBAL_EPILOG
    if isinstance(command, click.Group):
        for child in command.commands.values():
            attach(child)
    return command
