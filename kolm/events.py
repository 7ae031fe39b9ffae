"""The floor: progress as events. The library tells a `Reporter`; only the command line prints.

A child process writes its events as JSON lines to its standard output, and the parent relays
them to the reporter of the command.
"""

from __future__ import annotations

from typing import IO, Protocol

from kolm import canonical
from kolm.errors import FAMILIES, KolmError

Fact = str | int | float


class Reporter(Protocol):
    """Hears how long work is getting on; every method may be called from the working thread."""

    def started(self, stage: str, total: int | None, unit: str, done: int = 0) -> None:
        """A stage begins; `total` units are to be done, or None when nobody knows; `done` of them
        an earlier run left."""

    def advanced(self, stage: str, done: int, **facts: Fact) -> None:
        """`done` units of the stage are finished in all; facts are for people (loss, tokens/s)."""

    def finished(self, stage: str, **facts: Fact) -> None:
        """The stage has ended well."""

    def warned(self, message: str) -> None:
        """Something a person should know but that stops nothing."""

    def noted(self, message: str) -> None:
        """A milestone worth one line."""


class Silent:
    """A reporter that says nothing: the default of the library."""

    def started(self, stage: str, total: int | None, unit: str, done: int = 0) -> None:
        """Say nothing."""

    def advanced(self, stage: str, done: int, **facts: Fact) -> None:
        """Say nothing."""

    def finished(self, stage: str, **facts: Fact) -> None:
        """Say nothing."""

    def warned(self, message: str) -> None:
        """Say nothing."""

    def noted(self, message: str) -> None:
        """Say nothing."""


class JsonLines:
    """A reporter that writes each event as one JSON line, for a parent process."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def _write(self, event: str, **fields: object) -> None:
        told = {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in fields.items()}
        self._stream.write(canonical.dumps({"event": event, **told}).decode() + "\n")
        self._stream.flush()

    def started(self, stage: str, total: int | None, unit: str, done: int = 0) -> None:
        """Write a started event."""
        self._write("started", stage=stage, total=total, unit=unit, done=done)

    def advanced(self, stage: str, done: int, **facts: Fact) -> None:
        """Write an advanced event."""
        told = {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in facts.items()}
        self._write("advanced", stage=stage, done=done, facts=told)

    def finished(self, stage: str, **facts: Fact) -> None:
        """Write a finished event."""
        told = {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in facts.items()}
        self._write("finished", stage=stage, facts=told)

    def warned(self, message: str) -> None:
        """Write a warned event."""
        self._write("warned", message=message)

    def noted(self, message: str) -> None:
        """Write a noted event."""
        self._write("noted", message=message)

    def failed(self, error: KolmError) -> None:
        """Write the error that ends the child; `relay` raises it again in the parent."""
        self._write("failed", family=type(error).__name__, error=error.to_document())


def relay(line: str, reporter: Reporter) -> None:
    """Pass one line that a child wrote to the parent's reporter.

    Raises:
        KolmError: the child's own error, when the line is a failed event.
        Refused: the line is not an event.
    """
    event = canonical.loads(line.encode(), where="child process")
    kind, facts = event.get("event"), event.get("facts", {})
    if kind == "started":
        reporter.started(event["stage"], event["total"], event["unit"], event["done"])
    elif kind == "advanced":
        reporter.advanced(event["stage"], event["done"], **facts)
    elif kind == "finished":
        reporter.finished(event["stage"], **facts)
    elif kind == "warned":
        reporter.warned(event["message"])
    elif kind == "noted":
        reporter.noted(event["message"])
    elif kind == "failed":
        raise error_of(event["family"], event["error"])


def error_of(family: str, fields: dict[str, str]) -> KolmError:
    """Rebuild an error that a child process reported; unknown families become `KolmError`."""
    kind = FAMILIES.get(family, KolmError)
    rest = {k: v for k, v in fields.items() if k in ("where", "expected", "found", "hint")}
    return kind(fields.get("code", "E_CHILD"), fields.get("message", "the child failed"), **rest)
