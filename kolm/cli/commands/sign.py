"""``kolm sign``: a second party stands behind a bundle, as a claim beside the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kolm.cli import output as _output
from kolm.cli.options import BASE, BUNDLE, KEY, POLICY, TRUST, output_option


@click.command(short_help="Endorse a bundle that passes your policy, as a second party.")
@BUNDLE
@KEY
@POLICY
@TRUST
@BASE
@output_option("Write a copy of the bundle with the endorsement here. Default: add it to BUNDLE.")
@click.option("--force", is_flag=True, help="Replace another file at the output.")
def command(bundle: Path, **asked: Any) -> None:
    """Verify BUNDLE under your policy, and sign that you stand behind it.

    An endorsement names the claims that it stands behind. It counts only by a key that did not
    build the bundle; a policy says how many there must be, and whose. The content id does not
    change.

    Exit code: 0 signed, 1 the bundle does not pass, 3 what decides could not be looked at.
    """
    from kolm.actions.endorsing import endorse
    from kolm.cli.passphrase import ask_passphrase

    made = endorse(bundle, ask_passphrase=ask_passphrase, **asked)
    _output.current().answer(
        "cli-sign",
        {
            "bundle": str(made.bundle),
            "content_id": made.content_id,
            "key": made.keyid,
            "claims": made.kinds,
            "policy": made.policy,
        },
        "\n".join(
            (
                f"endorsed   {made.name}   {made.content_id}",
                f"by key     {made.keyid}",
                f"policy     {made.policy}: passed",
                f"behind     {', '.join(made.kinds)}",
                f"claim      added to {made.bundle}",
            )
        ),
        brief=made.keyid,
        wrote=asked["output"],
    )
