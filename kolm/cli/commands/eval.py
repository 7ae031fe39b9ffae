"""``kolm eval``: score a bundle on one's own captures, as a claim of whoever ran it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kolm.cli import output
from kolm.cli.exit_codes import ExitCode
from kolm.cli.options import BASE, BELOW_GATE, BUNDLE, FOLDER, KEY, POLICY, TRUST, output_option


@click.command(short_help="Score a bundle on your own captures, as a signed claim.")
@BUNDLE
@click.option(
    "--captures",
    required=True,
    type=FOLDER,
    help="The folder of a capture store; all of its captures are scored.",
)
@click.option(
    "--trained-on",
    type=FOLDER,
    metavar="DIR",
    help="The store that BUNDLE was compiled from: near twins of its pictures are counted too.",
)
@BASE
@TRUST
@POLICY
@BELOW_GATE
@KEY
@output_option("Write a copy of the bundle with the claim here. Default: add it to BUNDLE.")
@click.option("--force", is_flag=True, help="Replace another file at the output.")
def command(bundle: Path, **asked: Any) -> int:
    """Score BUNDLE on your own captures and sign what came out.

    The content id does not change: a claim is beside the content. The exit code is 1 when the
    gate of the bundle's own spec is not reached on these captures.
    """
    from kolm import actions
    from kolm.cli.passphrase import ask_passphrase
    from kolm.cli.scores import overlap_line, score_lines

    out = output.current()
    result = actions.evaluate_bundle(
        bundle, ask_passphrase=ask_passphrase, reporter=out.reporter, **asked
    )
    document = {
        "bundle": str(result.bundle),
        "content_id": result.content_id,
        "gate_passed": result.gate_passed,
        "evaluation": result.evaluation,
        "kscore": result.kscore,
    }
    out.answer(
        "cli-eval",
        document,
        lambda: "\n".join(
            [
                *score_lines(result.evaluation, result.kscore, out),
                overlap_line(result.kscore["pack"]["overlap"]),
                f"claim      added to {result.bundle}",
            ]
        ),
        brief=str(result.kscore["composite"]),
        wrote=asked["output"],
    )
    return ExitCode.DONE if result.gate_passed else ExitCode.NO
