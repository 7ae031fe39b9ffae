"""``kolm check``: does this spec fit this data and this machine? Cheap, and changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kolm.cli import output
from kolm.cli.exit_codes import ExitCode, code_of_family
from kolm.cli.failure import remedy
from kolm.cli.options import KEY, SPEC
from kolm.errors import KolmError

if TYPE_CHECKING:
    from kolm.records.answers import Check, CheckFinding


WORDS = {"ok": ("ok", "good"), "warning": ("warning", "warn"), "failed": ("FAILED", "bad")}


@click.command(short_help="Does this spec fit this data and this machine? Changes nothing.")
@SPEC
@KEY
@click.option(
    "--spec-only",
    is_flag=True,
    help="Check the spec against what is known of its base; nothing else need be here.",
)
def command(spec: Path, key: str | None, spec_only: bool) -> int:
    """Check SPEC against its data and this machine, without training and without a GPU.

    Lists everything that is wrong, not only the first. The exit code is 1 if anything was
    checked and is wrong. Otherwise it says what is missing: 3 if something could not be read,
    such as a base that is not on this machine, 4 a permission or passphrase, 6 disk or memory.
    What `kolm compile` would call a wrong call (2), such as a bundle that is there already, is
    wrong here (1): `kolm check` itself was called rightly.

    With --spec-only neither captures nor weights need be here: settings are held against the sizes
    of the base, which kolm knows of common published ones.
    """
    out = output.current()
    findings, code = find(spec, key=key, spec_only=spec_only)
    document: Check = {
        "spec": str(spec),
        "passed": all(finding["verdict"] != "failed" for finding in findings),
        "findings": findings,
    }
    wrong = [finding for finding in findings if finding["verdict"] == "failed"]
    brief = _for_people(wrong, out)
    out.answer("cli-check", document, lambda: _for_people(findings, out), brief=brief)
    return code


def find(
    spec: Path, *, key: str | None = None, spec_only: bool = False
) -> tuple[list[CheckFinding], ExitCode]:
    """All findings, and the exit code that they make together.

    The spec by itself comes first; only a sound one is held against data and machine.
    """
    from kolm.spec.load import problems_of, read_source

    problems = problems_of(read_source(spec))
    if problems:
        return from_errors(problems), ExitCode.NO
    from kolm import actions
    from kolm.actions.findings import ok

    sound = ok("spec", f"{spec} fits its schema").to_document()
    if spec_only:
        from kolm.actions.checking import check_spec

        found = check_spec(spec)
    else:
        found = actions.check(spec, key=key, reporter=output.current().reporter)
    codes = {_code(one["family"]) for one in found if one["verdict"] == "failed"}
    return [sound, *found], min(codes, default=ExitCode.DONE)  # what was looked at weighs most


def _code(family: str) -> ExitCode:
    """What a failed finding counts as: a compile that would be called wrongly is a no here."""
    code = code_of_family(family)
    return ExitCode.NO if code is ExitCode.USAGE else code


def from_errors(problems: Sequence[KolmError]) -> list[CheckFinding]:
    """Errors as failed findings."""
    from kolm.actions.findings import failed

    return [failed("spec", problem).to_document() for problem in problems]


def _for_people(findings: Sequence[CheckFinding], out: output.Output) -> str:
    lines = []
    for finding in findings:
        verdict, tone = WORDS[finding["verdict"]]
        where = f"   {output.one_line(finding['where'])}" if finding.get("where") else ""
        message = output.one_line(finding["message"])
        lines.append(f"{out.paint(f'{verdict:9}', tone)}{finding['name']:16}{message}{where}")
        lines += remedy(finding, margin=f"{'':11}")
    return "\n".join(lines)
