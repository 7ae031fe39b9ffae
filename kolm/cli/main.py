"""The command line: the entry point ``kolm``, and the one place where exceptions become exit codes.

Only Click and the table of commands are imported before the command is known, so that
``kolm --help`` answers at once; what renders answers and errors is imported when there is one.
"""

from __future__ import annotations

import atexit
import io
import os
import sys
from collections.abc import Iterable, Sequence
from time import perf_counter
from typing import TextIO

import click

from kolm import errors
from kolm.cli import flags
from kolm.cli.exit_codes import ExitCode
from kolm.cli.group import LazyGroup

_COMPLETING = "_KOLM_COMPLETE"  # the completion scripts set it


def _print_version(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from kolm import __version__

        click.echo(f"kolm {__version__}")
        context.exit()


@click.group(
    cls=LazyGroup,
    epilog="Exit codes: kolm help exit-codes   Documentation: kolm help pages",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and exit.",
)
def root() -> None:
    """Compile a vision-language fine-tune into one signed file that a stranger can audit."""


flags.attach(root)


def main(arguments: Sequence[str]) -> int:
    """Run one command in this process and give its exit code; never raises for bad input."""
    began = perf_counter()
    flags.reset(arguments)
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
        code = ExitCode.BROKEN_PIPE
    # The last line of stderr is the error document under --json, so nothing may follow it.
    if flags.current().verbose and not (flags.current().json and code >= ExitCode.USAGE):
        seconds = perf_counter() - began
        network = "offline" if flags.current().offline else "online"
        from kolm.cli import output

        output.current().tell(f"exit {int(code)} after {seconds:.2f} s ({network})")
    return int(code)


def _run(arguments: Sequence[str]) -> int:
    try:
        answered = _invoke(list(arguments))
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return ExitCode.USAGE
    except click.ClickException as error:
        return _fail(_of_click(error))
    except (click.Abort, KeyboardInterrupt, EOFError):
        import shlex

        again = shlex.join(["kolm", *arguments])
        _fail(
            errors.KolmError(
                "E_INTERRUPTED",
                "interrupted; what is finished stays finished",
                hint=f"to go on, run the same command again: {again}",
            )
        )
        return ExitCode.INTERRUPTED
    except errors.KolmError as error:
        return _fail(error)
    except BrokenPipeError:
        raise
    except (OSError, MemoryError) as error:
        from kolm import system

        return _fail(system.error_of(error))
    except Exception as error:  # noqa: BLE001 - whatever is left is a bug of ours, exit 70
        from kolm.cli import failure

        return _fail(failure.bug(error))
    return answered if isinstance(answered, int) else ExitCode.DONE


def _invoke(arguments: list[str]) -> object:
    """Parse and call, without `click.Command.main`, which takes a closed pipe for exit code 1."""
    if _COMPLETING in os.environ:  # noqa: TID251 - Click's protocol, and settings would be slow
        root.main(arguments, prog_name="kolm")
    try:
        with root.make_context("kolm", arguments) as context:
            return root.invoke(context)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    finally:
        if "kolm.cli.output" in sys.modules:  # else nothing was shown
            from kolm.cli import output

            output.current().close_progress()


def _fail(error: errors.KolmError) -> int:
    from kolm.cli import failure, output

    return failure.show(error, output.current(), debug=flags.current().debug)


def _of_click(error: click.ClickException) -> errors.KolmError:
    context = getattr(error, "ctx", None)
    hint = f"{context.command_path} --help" if context is not None else "kolm --help"
    if isinstance(error, click.exceptions.NoSuchOption):
        near = _near(error.option_name, error.possibilities or ())
        error = click.exceptions.NoSuchOption(error.option_name, possibilities=near, ctx=error.ctx)
    message = " ".join(error.format_message().split()).rstrip(".")
    return errors.Usage("E_USAGE", message, hint=hint)


def _near(asked: str, names: Iterable[str]) -> list[str]:
    """The options whose letters are like those asked for: Click counts the dashes as well."""
    from difflib import get_close_matches

    bare = {name.lstrip("-"): name for name in names}
    return [bare[name] for name in get_close_matches(asked.lstrip("-"), bare)]


def _silence_stdout() -> None:
    """Keep the interpreter from complaining about the closed pipe when it exits."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())


def _nowhere() -> TextIO:
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")


def run() -> int:
    """The console script: `main` over the process's own arguments."""
    code: int = ExitCode.BUG
    # Who closed a stream wants nothing from it, and its number must not go to a file of ours.
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for terminals that are not UTF-8
    # Weights come from disk alone; a library that has a hub's client would ask it for kernels.
    os.environ["HF_HUB_OFFLINE"] = "1"  # noqa: TID251 - is set, not read

    def leave() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    # Registered first, so that it comes last: the system takes all memory at once, while the
    # interpreter would free a few hundred thousand objects one by one.
    atexit.register(leave)
    code = main(sys.argv[1:])
    return code
