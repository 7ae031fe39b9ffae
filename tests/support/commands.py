"""Run the command line in this process, and a project in which every command has work to do."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from kolm import canonical, schema
from kolm.cli.main import main, root


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What one command did."""

    code: int
    stdout: str
    stderr: str

    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout, which fits the schema that it names."""
        value = canonical.loads(self.stdout.encode(), where="stdout")
        check_answer(value)
        return dict(value)

    def error(self) -> dict[str, Any]:
        """The error document in the last line of stderr."""
        value = canonical.loads(self.stderr.splitlines()[-1].encode(), where="stderr")
        check_answer(value)
        return dict(value["error"])


def check_answer(value: dict[str, Any]) -> None:
    """Hold a --json answer to the schema in ``schemas/cli`` that it names."""
    name = value["schema"].removeprefix("urn:kolm:").removesuffix(":v1")
    name = f"cli/{name.removeprefix('cli-')}" if name.startswith("cli-") else name
    schema.check(name, value, where="stdout")


class _Stream(io.TextIOWrapper):
    """A captured stream that may claim to be a terminal."""

    def __init__(self, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def text(self) -> str:
        self.flush()
        data = self.buffer
        assert isinstance(data, io.BytesIO)
        return data.getvalue().decode()


@contextmanager
def streams(*, terminal: bool = False) -> Iterator[tuple[_Stream, _Stream]]:
    """Stand-ins for stdin (empty), stdout and stderr."""
    kept = sys.stdin, sys.stdout, sys.stderr
    out, err = _Stream(terminal), _Stream(terminal)
    sys.stdin, sys.stdout, sys.stderr = _Stream(False), out, err
    try:
        yield out, err
    finally:
        sys.stdin, sys.stdout, sys.stderr = kept


def invoke(*arguments: str | Path, terminal: bool = False) -> Ran:
    """Run ``kolm`` with these arguments; stdin is empty and nothing else a terminal by default."""
    with streams(terminal=terminal) as (out, err):
        code = main([str(argument) for argument in arguments])
    return Ran(code=code, stdout=out.text(), stderr=err.text())


def leaves(
    group: click.Group = root, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


Case = Callable[[Path], list[str]]
