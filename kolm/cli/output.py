"""The command line: the two streams. stdout is the answer and only the answer; all else is stderr.

Commands ask `current()` and never print by themselves.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

import click

from kolm import canonical, settings
from kolm.cli import flags
from kolm.errors import Usage

if TYPE_CHECKING:
    from kolm import events

T = TypeVar("T")
TONES: dict[str, dict[str, Any]] = {
    "good": {"fg": "green"},
    "bad": {"fg": "red", "bold": True},
    "warn": {"fg": "yellow"},
    "dim": {"dim": True},
    "strong": {"bold": True},
}

# What could move the cursor, rewrite what was said or turn its direction: control characters but
# line break and tab, and the marks that reorder text. The colours of `TONES` stay.
_UNPRINTABLE = re.compile(
    r"(?!\x1b\[(?:[0-2]|3[1-3])m)[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)


def printable(text: str) -> str:
    """Text for people without what a terminal would obey: a bundle's words are not ours."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def one_line(text: str) -> str:
    """Text from outside as one line: it begins no line of its own and has no colours of ours."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def in_lines(value: T) -> T:
    """A document for people: every text in it, from whatever file it came, keeps to one line."""
    return cast("T", _changed(value, one_line))


def _encodable(text: str) -> str:
    """The text in a form that UTF-8 has: lone surrogates are replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _changed(value: object, change: Callable[[str], str]) -> object:
    """A document with every text of it changed, keys too."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(key): _changed(item, change) for key, item in value.items()}
    return [_changed(item, change) for item in value] if isinstance(value, list | tuple) else value


class Output:
    """What a command may say, and where it goes."""

    def __init__(self, asked: flags.Flags, stdout: IO[str], stderr: IO[str]) -> None:
        self._asked = asked
        self._stdout = stdout
        self._stderr = stderr
        self._reporter: events.Reporter | None = None

    @property
    def json(self) -> bool:
        """True when stdout is to be one JSON document."""
        return self._asked.json

    @property
    def quiet(self) -> bool:
        """True when stderr is to show errors only."""
        return self._asked.quiet

    @property
    def verbose(self) -> bool:
        """True when notes and timings are wanted."""
        return self._asked.verbose

    @property
    def reporter(self) -> events.Reporter:
        """Progress for the library: a bar on a terminal, otherwise now and then a line."""
        if self._reporter is None:
            from kolm.cli import progress

            self._reporter = progress.reporter(self)
        return self._reporter

    def close_progress(self) -> None:
        """Take down bars that are still up, so that nothing overdraws an answer or an error."""
        if self._reporter is not None:
            from kolm.cli import progress

            if isinstance(self._reporter, progress.Bars):
                self._reporter.close()

    def answer(
        self,
        kind: str,
        document: Mapping[str, object] | Callable[[], Mapping[str, object]],
        human: str | Callable[[], str],
        *,
        brief: str = "",
        wrote: Path | None = None,
        verbatim: bool = False,
    ) -> None:
        """Print the command's one answer on stdout.

        Args:
            kind: of the document, by its schema's name: ``cli-check`` is in ``schemas/cli``.
            document: printed as one canonical JSON line under --json; or a function, as `human`.
            human: the text for people, or a function that makes it when it is needed.
            brief: what remains under -q: nothing, or the one value that a script wants.
            wrote: the file that the user named for the work itself. Where it is stdout, that was
                the answer, and this goes to stderr.
            verbatim: keep lines that are wider than the terminal: what was not written for it.
        """
        self.close_progress()
        stream = self._stdout
        if wrote is not None:
            from kolm import outputs  # brings temporary files along

            stream = self._stderr if outputs.is_stdout(wrote) else self._stdout
        if self.json:
            self.machine(kind, document() if callable(document) else document, stream)
            return
        text = brief if self.quiet else human if isinstance(human, str) else human()
        if text:
            self._say(text, stream, verbatim=verbatim)

    def machine(self, kind: str, document: Mapping[str, object], stream: IO[str]) -> None:
        """Write one canonical JSON line in UTF-8, whatever the stream's own encoding is."""
        whole = {**document, "schema": f"urn:kolm:{kind}:v1"}
        try:
            line = canonical.dumps(whole)
        except ValueError:  # a file name that is no Unicode text has no form in JSON
            line = canonical.dumps(_changed(whole, _encodable))
        click.echo(line, file=stream)

    def tell(self, text: str, *, verbatim: bool = False) -> None:
        """Write lines for people to stderr; -q does not silence them."""
        self._say(text, self._stderr, verbatim=verbatim)

    def paint(self, text: str, tone: str) -> str:
        """`text` in one of `TONES`; the streams strip it where colours are off."""
        return click.style(text, **TONES[tone])

    def confirm(self, question: str, *, flag: str = "--yes") -> bool:
        """Ask yes or no on a terminal; --yes answers it.

        Raises:
            Usage: there is no terminal to ask on; names the flag to pass.
        """
        if self._asked.yes:
            return True
        self._demand_terminal(question, flag)
        return click.confirm(question, err=True)

    def ask_secret(self, question: str, *, flag: str, twice: bool = False) -> str:
        """Ask for a passphrase on a terminal, without echo.

        Raises:
            Usage: there is no terminal to ask on; names the flag or variable to use.
        """
        self._demand_terminal(question, flag)
        value: str = click.prompt(question, hide_input=True, confirmation_prompt=twice, err=True)
        return value

    def colors_on(self, stream: IO[str]) -> bool:
        """Whether `stream` takes colours: --color, then NO_COLOR, then whether it is a terminal."""
        if self._asked.color != "auto":
            return self._asked.color == "always"
        return settings.text("NO_COLOR") is None and stream.isatty()

    def terminal(self) -> bool:
        """Whether progress may redraw its line."""
        return self._stderr.isatty() and not self.json

    def stderr(self) -> IO[str]:
        """The stream for everything that is not the answer."""
        return self._stderr

    def _say(self, text: str, stream: IO[str], *, verbatim: bool) -> None:
        """A terminal gets no line wider than it is; a pipe, a log and a file get them whole."""
        text = printable(text)
        if stream.isatty() and not verbatim:
            import shutil  # half of what this file costs

            from kolm.cli.folding import folded

            width = shutil.get_terminal_size().columns
            text = "\n".join(part for line in text.split("\n") for part in folded(line, width))
        click.echo(text, file=stream, color=self.colors_on(stream))

    def _demand_terminal(self, question: str, flag: str) -> None:
        if not (sys.stdin.isatty() and self._stderr.isatty()):
            raise Usage(
                "E_CLI_NO_TERMINAL",
                f"there is no terminal to ask on: {question}",
                hint=f"{'pass' if flag.startswith('-') else 'set'} {flag}",
            )


_outputs: dict[tuple[object, ...], Output] = {}


def current() -> Output:
    """The output of the running command, as its flags want it; the same object while they hold."""
    key = (flags.current(), sys.stdout, sys.stderr)
    if key not in _outputs:
        _outputs.clear()
        _outputs[key] = Output(flags.current(), sys.stdout, sys.stderr)
    return _outputs[key]
