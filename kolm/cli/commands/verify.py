"""``kolm verify``: the numbered questions about a bundle, and four verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kolm.cli import output
from kolm.cli.exit_codes import ExitCode, of_audit
from kolm.cli.options import KEY, ContentId, audit_options, output_option

if TYPE_CHECKING:
    from kolm.records.verification import Verification
    from kolm.sign.private_keys import PrivateKey


@click.command(short_help="Recheck every hash, frozen-module claim and score of a bundle.")
@click.argument("bundle", type=click.Path(path_type=Path))
@audit_options
@click.option(
    "--attest",
    is_flag=True,
    help="Sign what this audit finds, as claims in BUNDLE, with your key.",
)
@KEY
@output_option("With --attest: write a copy with the claims here instead.")
@click.option("--force", is_flag=True, help="With --attest: replace another file at the output.")
@click.option(
    "--id",
    "expected_id",
    metavar="ID",
    type=ContentId(),
    help="The content id you expect: a CID or sha256:…",
)
def command(
    bundle: Path,
    attest: bool,
    key: str | None,
    force: bool,
    **asked: Any,
) -> None:
    """Recheck what BUNDLE says, without trusting its publisher.

    Asks numbered questions and shows how each answer is known. Without options it needs no
    network, no model and no secret, and answers the same on every machine.

    Exit code: 0 everything asked holds, 1 something does not, 3 something could not be looked at,
    for want of an extra of kolm as well: everything else is still answered.
    """
    from kolm.actions.verification import verify
    from kolm.bundle.container import open_container
    from kolm.records import codec

    out = output.current()
    target = asked.pop("output")
    signer = _signer(key) if attest else None  # before anything that takes long
    if attest:
        from kolm.actions.measuring import measure_now as measure  # what is signed was read now

        asked["measure"] = measure
    takes_long = asked["rescore"] is not None or asked["replay"] is not None
    audited = open_container(bundle)
    report = verify(audited, reporter=out.reporter if takes_long else None, **asked)
    out.answer(
        "verification",
        lambda: codec.to_document(report),
        lambda: _for_people(report, out),
        brief=report.conclusions.overall.verdict,
    )
    if signer is not None:
        from kolm.actions.attesting import attest as sign

        place = sign(audited, report, signer, output=target, force=force)
        out.reporter.noted(f"the audit is signed as claims in {place}")
    code = of_audit(report)
    if code is not ExitCode.DONE:
        raise click.exceptions.Exit(code)


def _signer(key: str | None) -> PrivateKey:
    from kolm.actions.signing import choose_key
    from kolm.cli.passphrase import ask_passphrase

    return choose_key(key, ask_passphrase)


def _for_people(report: Verification, out: output.Output) -> str:
    if out.verbose:
        from kolm.cli.verification_text import render

        return render(report, paint=out.paint)
    from kolm.cli.verification_summary import summarise

    return summarise(report, paint=out.paint)
