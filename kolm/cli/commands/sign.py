"""``kolm sign``: a second party stands behind a bundle, as a claim beside the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kolm.cli import output as _output
from kolm.cli.options import BASE, BUNDLE, FILE, FOLDER, KEY, POLICY, TRUST, output_option

if TYPE_CHECKING:
    from kolm.actions.endorsing import Endorsed


@click.command(short_help="Endorse a bundle that passes your policy, as a second party.")
@BUNDLE
@KEY
@POLICY
@TRUST
@BASE
@click.option(
    "--timestamp",
    metavar="URL",
    help="Have a time stamp authority (RFC 3161) say when the signature was there.",
)
@click.option(
    "--timestamp-query",
    type=FILE,
    help="Write the query for an authority that you ask elsewhere, on a machine with a network.",
)
@click.option(
    "--timestamp-file",
    type=FILE,
    help="Sign nothing: put an authority's response beside the claim that it is of.",
)
@click.option(
    "--oms",
    type=FOLDER,
    help="Endorse nothing: unpack BUNDLE into this new folder, signed as OpenSSF Model Signing "
    "has it (model.sig). Needs a p256 key.",
)
@output_option("Write a copy of the bundle with the endorsement here. Default: add it to BUNDLE.")
@click.option("--force", is_flag=True, help="Replace another file at the output or the query.")
def command(bundle: Path, timestamp_file: Path | None, oms: Path | None, **asked: Any) -> None:
    """Verify BUNDLE under your policy, and sign that you stand behind it.

    An endorsement names the claims that it stands behind. It counts only by a key that did not
    build the bundle; a policy says how many there must be, and whose. The content id does not
    change.

    A time stamp says when the signature was there, by somebody else's clock; since an endorsement
    names other claims, they were there too. Time stamps need the extra timestamp.

    Exit code: 0 signed, 1 the bundle does not pass, 3 what decides could not be looked at.
    """
    from kolm.actions import endorsing
    from kolm.cli.passphrase import ask_passphrase

    if oms is not None:
        _sign_model(bundle, oms, timestamp_file, asked)
        return
    if timestamp_file is None:
        made = endorsing.endorse(bundle, ask_passphrase=ask_passphrase, **asked)
    else:
        _demand_nothing_else(asked)
        place = {name: asked[name] for name in ("trust", "output", "force")}
        made = endorsing.add_time_stamp(bundle, timestamp_file, **place)
    _answer(made, _for_people(made, asked), wrote=asked["output"])


def _sign_model(bundle: Path, folder: Path, stamp: Path | None, asked: dict[str, Any]) -> None:
    from kolm.actions import endorsing
    from kolm.cli.passphrase import ask_passphrase

    excluded = ("output", "timestamp", "timestamp_query")
    if stamp is not None or any(asked[name] is not None for name in excluded):
        raise click.UsageError("--oms writes a folder of its own: no --output, and no time stamp")
    place = {name: asked[name] for name in ("key", "policy", "trust", "base")}
    made = endorsing.sign_model(bundle, folder, ask_passphrase=ask_passphrase, **place)
    told = (
        f"bundle     {bundle}   {made.content_id}",
        f"by key     {made.keyid}",
        f"signed     {len(made.kinds)} files in {folder}: model.sig",
        f"next       hand over that folder and your public key: {_export(asked['key'])}",
    )
    _answer(made._replace(kinds=[]), told)


def _answer(made: Endorsed, told: Iterable[str], *, wrote: Path | None = None) -> None:
    _output.current().answer(
        "cli-sign",
        {
            "bundle": str(made.bundle),
            "content_id": made.content_id,
            "key": made.keyid,
            "claims": made.kinds,
            "policy": made.policy,
            "stamped_at": made.stamped_at,
            "stamped_by": made.stamped_by,
        },
        "\n".join(told),
        brief=made.keyid,
        wrote=wrote,
    )


def _demand_nothing_else(asked: dict[str, Any]) -> None:
    """Signing and stamping what was signed earlier are two calls."""
    of_signing = ("key", "policy", "base", "timestamp", "timestamp_query")
    given = [f"--{name.replace('_', '-')}" for name in of_signing if asked[name] is not None]
    if given:
        raise click.UsageError(f"--timestamp-file signs nothing, so it excludes {given[0]}")


def _for_people(made: Endorsed, asked: Mapping[str, Any]) -> Iterator[str]:
    yield f"bundle     {made.bundle}   {made.content_id}"
    yield f"by key     {made.keyid}"
    if made.policy is not None:
        yield f"policy     {made.policy}: accepted"
        yield f"behind     {', '.join(made.kinds)}"
    if made.stamped_at is not None:
        by = made.stamped_by or "an authority that you do not trust (kolm keys authority)"
        yield f"stamped    {made.stamped_at} by {by}"
    yield f"claim      added to {made.bundle}: give that file back to its publisher"
    if asked["timestamp_query"] is not None:
        yield f"stamp      have an authority answer {asked['timestamp_query']}, then:"
        yield f"           kolm sign {made.bundle} --timestamp-file ANSWER"
    yield f"next       whoever is to believe you needs your public key: {_export(asked['key'])}"


def _export(key: str | None) -> str:
    import shlex

    return shlex.join(("kolm", "keys", "export", *([key] if key else [])))
