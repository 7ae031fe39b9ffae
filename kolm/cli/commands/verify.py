"""``kolm verify``: the numbered questions about a bundle, and four verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from kolm.cli import output
from kolm.cli.exit_codes import ExitCode, of_audit
from kolm.cli.options import KEY, REPLAY, STATES, TRUST, Drawn, output_option

if TYPE_CHECKING:
    from kolm.digest import Digest
    from kolm.records.verification import Verification
    from kolm.sign.private_keys import PrivateKey

_PATH = click.Path(path_type=Path)


@click.command(short_help="Recheck every hash, frozen-module claim and score of a bundle.")
@click.argument("bundle", type=_PATH)
@click.option(
    "--policy", type=_PATH, help="What you demand of a bundle (YAML or JSON). Default: built in."
)
@TRUST
@click.option(
    "--base", type=_PATH, help="The base, its folder or name: compared byte for byte (V40-V43)."
)
@click.option(
    "--captures",
    type=_PATH,
    help="A capture store: leaves, pixels, near-duplicates (V47-V49), withheld cases (V30-V33).",
)
@click.option(
    "--rescore",
    metavar="N|all",
    type=Drawn(1),
    help="Run N cases again (V46) and encode N captures again (V55), drawn here and now, or all. "
    "Needs --captures and the extra train.",
)
@REPLAY
@STATES
@click.option(
    "--nonce",
    metavar="DIGEST",
    help="Draw the segments of an earlier audit again, by the nonce that it printed.",
)
@click.option(
    "--request",
    type=_PATH,
    help="The signed request of a buyer that BUNDLE should answer (V68); its policy is what is "
    "demanded.",
)
@click.option(
    "--attest",
    is_flag=True,
    help="Sign what this audit finds, as a claim in BUNDLE, with your key.",
)
@KEY
@output_option("With --attest: write a copy with the claim here instead.")
@click.option("--force", is_flag=True, help="With --attest: replace another file at the output.")
@click.option("--id", "wanted", metavar="ID", help="The content id you expect: a CID or sha256:…")
def command(
    bundle: Path,
    rescore: int | Literal["all"] | None,
    replay: int | Literal["all"] | None,
    nonce: str | None,
    wanted: str | None,
    attest: bool,
    key: str | None,
    force: bool,
    **asked: Any,
) -> None:
    """Recheck what BUNDLE says, without trusting its publisher.

    Asks numbered questions and shows how each answer is known. Without options it needs no
    network, no model and no secret, and answers the same on every machine.

    Exit code: 0 everything asked holds, 1 something does not, 3 something could not be looked at.
    """
    from kolm.actions.verification import verify
    from kolm.bundle.container import open_container
    from kolm.records import codec

    out = output.current()
    target = asked.pop("output")
    signer = _signer(key) if attest else None  # before anything that takes long
    takes_long = rescore is not None or replay is not None
    audited = open_container(bundle)
    report = verify(
        audited,
        reporter=out.reporter if takes_long else None,
        rescore=rescore,
        replay=replay,
        nonce=_content_id(nonce, "--nonce") if nonce else None,
        expected_id=_content_id(wanted, "--id") if wanted else None,
        **asked,
    )
    out.answer(
        "verification",
        codec.to_document(report),
        lambda: _for_people(report, out),
        brief=report.conclusions.overall.verdict,
    )
    if signer is not None:
        from kolm.actions.attesting import attest as sign

        place = sign(audited, report, signer, output=target, force=force)
        out.reporter.noted(f"the audit is signed as a claim in {place}")
    code = of_audit(report)
    if code is not ExitCode.DONE:
        raise click.exceptions.Exit(code)


def _signer(key: str | None) -> PrivateKey:
    from kolm.actions.signing import choose_key
    from kolm.cli.passphrase import ask_passphrase

    return choose_key(key, ask_passphrase)


def _content_id(text: str, option: str) -> Digest:
    """A digest in either spelling."""
    from kolm import digest
    from kolm.bundle import cid_reader
    from kolm.errors import Refused, Usage

    try:
        if text.startswith("sha256:"):
            return digest.parse(text, where=option)
        return cid_reader.digest_of(text)
    except Refused as error:
        raise Usage(
            "E_VERIFY_ID",
            "this is not a content id" if option == "--id" else "this is no digest",
            where=option,
            expected="a CID (bafkrei…) or sha256: and 64 hex digits",
            found=text[:80],
        ) from error


def _for_people(report: Verification, out: output.Output) -> str:
    if out.verbose:
        from kolm.cli.verification_text import render

        return render(report, paint=out.paint)
    from kolm.cli.verification_summary import summarise

    return summarise(report, paint=out.paint)
