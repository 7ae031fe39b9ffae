"""The command line: what each exit code means, and which failure ends in which code."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from kolm import errors

if TYPE_CHECKING:
    from kolm.records.verification import Verification


class ExitCode(IntEnum):
    """Frozen by a test: scripts depend on the numbers."""

    DONE = 0
    NO = 1
    USAGE = 2
    COULD_NOT_LOOK = 3
    DENIED = 4
    NETWORK = 5
    ENVIRONMENT = 6
    BUG = 70
    INTERRUPTED = 130
    BROKEN_PIPE = 141


MEANINGS: dict[ExitCode, str] = {
    ExitCode.DONE: "done; the verdict is positive",
    ExitCode.NO: "looked, and the answer is no: refused, gate failed, differs",
    ExitCode.USAGE: "the command was called wrongly",
    ExitCode.COULD_NOT_LOOK: (
        "could not look: missing, unreadable, not a bundle, version unknown, no trust material"
    ),
    ExitCode.DENIED: "permission or authentication is missing",
    ExitCode.NETWORK: "network or registry failed, including what --offline forbids",
    ExitCode.ENVIRONMENT: "the environment lacks an extra, an accelerator, memory or disk",
    ExitCode.BUG: "a bug in kolm",
    ExitCode.INTERRUPTED: "interrupted",
    ExitCode.BROKEN_PIPE: "the reader of the output went away",
}

_OF_FAMILY: dict[type[errors.KolmError], ExitCode] = {
    errors.Refused: ExitCode.NO,
    errors.Usage: ExitCode.USAGE,
    errors.Unreadable: ExitCode.COULD_NOT_LOOK,
    errors.Denied: ExitCode.DENIED,
    errors.Network: ExitCode.NETWORK,
    errors.Lacking: ExitCode.ENVIRONMENT,
}


def code_of(error: errors.KolmError) -> ExitCode:
    """The exit code of an error's family; an error of no family is our own mistake."""
    for family, code in _OF_FAMILY.items():
        if isinstance(error, family):
            return code
    return ExitCode.BUG


def of_audit(report: Verification) -> ExitCode:
    """The exit code of an audit: its overall answer."""
    from kolm.records.verification import Verdict

    return {
        Verdict.OK: ExitCode.DONE,
        Verdict.FAILED: ExitCode.NO,
    }.get(report.conclusions.overall.verdict, ExitCode.COULD_NOT_LOOK)


def code_of_family(name: str) -> ExitCode:
    """The exit code of the errors of a family, by the family's name."""
    return _OF_FAMILY.get(errors.FAMILIES.get(name, errors.KolmError), ExitCode.BUG)
