"""``kolm report``: a bundle and what an audit finds of it, as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kolm.cli import output as _output
from kolm.cli.exit_codes import of_audit
from kolm.cli.options import AUDIT, BUNDLE, FILE, audit_options, output_option


@click.command(short_help="Write what an audit finds of a bundle as one page of HTML.")
@BUNDLE
@output_option("The page. Default: the bundle's name with .html, in this folder.")
@click.option(
    "--eval-log",
    type=FILE,
    help="Write the evaluation beside it as a log for Inspect (inspect_ai), .eval or .json.",
)
@click.option(
    "--every-eval",
    type=FILE,
    help="Write the evaluation beside it as a record of Every Eval Ever 0.3, .json.",
)
@click.option("--force", is_flag=True, help="Replace another file of that name.")
@AUDIT
@audit_options
def command(
    bundle: Path,
    output: Path | None,
    eval_log: Path | None,
    every_eval: Path | None,
    force: bool,
    **asked: Any,
) -> None:
    """Audit BUNDLE and write what was found as one page of HTML.

    The page opens from disk, holds no script and asks for nothing from outside. It shows the
    verdict and who vouches for what, scores with intervals, the worst cases, training, modules,
    data, and what the audit does not show. With --captures it also shows pictures that the bundle
    does not publish.

    Exit code: as of `kolm verify`; the page is written in each case.
    """
    from kolm.actions.reporting import report

    out = _output.current()
    target = output or Path(f"{bundle.stem}.html")
    made = report(bundle, reporter=out.reporter, **asked)
    if eval_log is not None:
        made.write_log(eval_log, force=force)
    if every_eval is not None:
        made.write_every_eval(every_eval, force=force)
    made.write(target, force=force)
    verdict = made.audit.conclusions.overall.verdict
    out.answer(
        "cli-report",
        {
            "file": str(target),
            "bytes": len(made.page),
            "content_id": made.audit.bundle.digest,
            "verdict": verdict.value,
        },
        f"wrote {target}, {len(made.page):,} bytes: verdict {verdict.value.replace('_', ' ')}",
        brief=str(target),
        wrote=target,
    )
    code = of_audit(made.audit)
    if code:
        raise click.exceptions.Exit(code)
