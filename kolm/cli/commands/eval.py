"""``kolm eval``: score a bundle on one's own captures, as a claim of whoever ran it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kolm.cli import output
from kolm.cli.exit_codes import ExitCode
from kolm.cli.options import (
    BASE,
    BELOW_GATE,
    BUNDLE,
    DEVICE,
    FILE,
    FOLDER,
    KEY,
    POLICY,
    SPREAD,
    TRUST,
    output_option,
)


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
@click.option(
    "--against-base",
    metavar="BASE",
    help="Another base, by folder or name, that answers the same captures beside the bundle.",
)
@click.option(
    "--endpoint",
    metavar="URL",
    help="An OpenAI-compatible API, such as https://api.openai.com/v1, that answers them.",
)
@click.option("--model", metavar="NAME", help="With --endpoint: the model there.")
@click.option(
    "--answers",
    type=FILE,
    help="With --endpoint: what it answers is kept here; a killed command goes on with it.",
)
@click.option(
    "--instruction",
    default="",
    metavar="TEXT",
    help="Tell the other model this before each question; the claim says so.",
)
@BASE
@DEVICE
@SPREAD
@TRUST
@POLICY
@BELOW_GATE
@KEY
@output_option("Write a copy of the bundle with the claim here. Default: add it to BUNDLE.")
@click.option("--force", is_flag=True, help="Replace another file at the output.")
def command(
    bundle: Path,
    against_base: str | None,
    endpoint: str | None,
    model: str | None,
    answers: Path | None,
    instruction: str,
    **asked: Any,
) -> int:
    """Score BUNDLE on your own captures and sign what came out.

    With --against-base or --endpoint somebody else answers the same captures, and the claim says
    who it was and in how many cases the one or the other does better. The key of an endpoint is
    taken from KOLM_JUDGE_KEY.

    The content id does not change: a claim is beside the content. The exit code is 1 when the
    gate of the bundle's own spec is not reached on these captures.
    """
    from kolm import actions
    from kolm.cli.passphrase import ask_passphrase
    from kolm.cli.scores import overlap_line, rival_lines, score_lines

    out = output.current()
    if any((against_base, endpoint, model, answers, instruction)):
        from kolm.actions.rivals import Rival

        asked["rival"] = Rival(
            base=against_base,
            endpoint=endpoint,
            model=model,
            answers=answers,
            instruction=instruction,
        )
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
                *rival_lines(result.kscore),
                f"claim      added to {result.bundle}",
            ]
        ),
        brief=str(result.kscore["composite"]),
        wrote=asked["output"],
    )
    return ExitCode.DONE if result.gate_passed else ExitCode.NO
