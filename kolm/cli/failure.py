"""The command line: how an error is shown. The library raises; this alone renders."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping

from kolm.cli.exit_codes import ExitCode, code_of
from kolm.cli.output import Output, one_line
from kolm.errors import KolmError

KIND = "cli-error"
_INDENT = 10  # columns before what is said: the longest label and two spaces


def document(error: KolmError) -> dict[str, object]:
    """The error as the document that --json prints; its schema is ``cli/error``."""
    known = {"docs": f"kolm help {error.code}", **error.to_document()}
    return {"error": known}


def show(error: KolmError, output: Output, *, debug: bool) -> ExitCode:
    """Render `error` on stderr and give its exit code.

    Under --json the last line of stderr is the document when nothing could be answered (exit 2
    and above); a 'no' (exit 1) is an answer and stands on stdout.
    """
    code = code_of(error)
    if debug:
        output.tell("".join(traceback.format_exception(error)).rstrip(), verbatim=True)
    output.tell(_for_people(error, output, code))
    if output.json:
        machine = document(error)
        if code is ExitCode.NO:
            output.answer(KIND, machine, "")
        else:
            output.machine(KIND, machine, output.stderr())
    return code


def _for_people(error: KolmError, output: Output, code: ExitCode) -> str:
    label = "refused" if code is ExitCode.NO else "error"
    place = f"   {one_line(error.where)}" if error.where else ""
    shown = output.paint(f"{label:{_INDENT}}", "bad")
    lines = [f"{shown}{one_line(error.message)}{place}"]
    lines += remedy(error.to_document())
    lines.append(output.paint(f"{error.code}   kolm help {error.code}", "dim"))
    return "\n".join(lines)


def remedy(error: Mapping[str, object], *, margin: str = "") -> Iterator[str]:
    """What was expected, what was found and what to do, a line each or more."""
    for name in ("expected", "found", "hint"):
        for number, line in enumerate(str(error.get(name) or "").split("\n")):
            if line:
                yield f"{margin}{'' if number else name:{_INDENT}}{one_line(line)}"


def bug(error: BaseException) -> KolmError:
    """An exception that nobody meant to raise, as an error of no family (exit 70)."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "kolm" in frame.filename] or list(frames)
    place = f"{ours[-1].name}, line {ours[-1].lineno}" if ours else ""
    made = KolmError(
        "E_BUG",
        f"this is a bug in kolm: {type(error).__name__}: {error}",
        where=place,
        hint="run the command again with --debug and report what it prints",
    )
    made.__cause__ = error
    return made
