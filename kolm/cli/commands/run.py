"""``kolm run``: one answer from a bundle, to see with one's own eyes what was compiled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kolm.cli import output
from kolm.cli.options import BASE, BELOW_GATE, BUNDLE, DEVICE, FILE, POLICY, SPREAD, TRUST


@click.command(short_help="Answer one prompt with a bundle, about images where it takes any.")
@BUNDLE
@click.option(
    "--image",
    "images",
    multiple=True,
    type=FILE,
    help="The image; may be given repeatedly. None where the base reads text alone.",
)
@click.option("--prompt", required=True, help="The question.")
@BASE
@DEVICE
@SPREAD
@TRUST
@POLICY
@BELOW_GATE
def command(bundle: Path, prompt: str, **asked: Any) -> None:
    """Answer one prompt with BUNDLE, greedily, as the evaluation did: about images, where its base
    takes any.

    Verifies first, with the base: what does not pass is not loaded.
    """
    from kolm import actions

    out = output.current()
    answer = actions.run(bundle, prompt=prompt, reporter=out.reporter, **asked)
    document = {
        "content_id": answer.content_id,
        "prompt": prompt,
        "output": answer.text,
        "tokens": answer.tokens,
        "finish": answer.finish,
        "cut_tokens": answer.cut_tokens,
        "below_gate": answer.below_gate,
    }
    if answer.cut_tokens:
        out.reporter.warned(
            f"the prompt is longer than the bundle's budget: {answer.cut_tokens} tokens were cut "
            "out of its middle"
        )
    out.reporter.noted(f"{answer.tokens} tokens, {answer.finish}, bundle {answer.content_id}")
    out.answer("cli-run", document, answer.text, brief=answer.text, verbatim=True)
