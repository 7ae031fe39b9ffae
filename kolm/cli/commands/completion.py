"""``kolm completion``: the script that makes a shell complete kolm's commands."""

from __future__ import annotations

import click

from kolm.cli import output

SHELLS = ("bash", "fish", "zsh")

HINTS = {
    "bash": 'add to ~/.bashrc:  eval "$(kolm completion bash)"',
    "fish": "save it:  kolm completion fish > ~/.config/fish/completions/kolm.fish",
    "zsh": 'add to ~/.zshrc:  eval "$(kolm completion zsh)"',
}


@click.command(short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the completion script of SHELL, to be read by it at start."""
    from click.shell_completion import get_completion_class

    from kolm.cli.main import root

    out = output.current()
    kind = get_completion_class(shell)
    if kind is None:
        raise AssertionError(f"Click has lost its completion for {shell}")
    script = kind(root, {}, "kolm", "_KOLM_COMPLETE").source()
    out.reporter.noted(HINTS[shell])
    out.answer(
        "cli-completion", {"shell": shell, "script": script}, script, brief=script, verbatim=True
    )
