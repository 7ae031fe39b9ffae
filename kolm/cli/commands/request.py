"""``kolm request``: what a buyer demands of a bundle that is still to be made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kolm.cli import output as _output
from kolm.cli.exit_codes import code_of_family
from kolm.cli.group import VerbGroup
from kolm.cli.options import FILE, FOLDER, KEY, TRUST, output_option
from kolm.counting import counted

if TYPE_CHECKING:
    from kolm.records.answers import RequestShow


@click.group(
    cls=VerbGroup, short_help="Demand a bundle that is still to be made, scored on your own cases."
)
def command() -> None:
    """Demand a bundle that is still to be made, scored on your own cases.

    The spec of whoever makes it names the request (request: FILE); `kolm verify BUNDLE --request
    FILE` shows whether a bundle is the answer.
    """


@command.command("pack")
@click.argument("store", type=FOLDER)
@output_option("Write the pack to this .jsonl file, with its images beside it, to hand it over.")
@click.option("--force", is_flag=True, help="Replace other files there.")
def pack(store: Path, output: Path | None, force: bool) -> None:
    """Show the root of the pack that the captures of STORE are.

    All of them must state the side eval (kolm capture import FILE --split eval). Importing what is
    written gives the same pack.
    """
    from kolm.actions import requests

    out = _output.current()
    made = requests.make_pack(store, output=output, force=force, reporter=out.reporter)
    document = {**made._asdict(), "file": None if output is None else str(output)}
    size = f"{counted(made.captures, 'capture')}, {counted(made.images, 'image')}"
    out.answer("cli-request-pack", document, f"{made.root}\n{size}", brief=made.root, wrote=output)


@command.command("new")
@click.option(
    "--policy",
    type=FILE,
    required=True,
    help="What the answer must pass: base_roots, metrics, floors, methods, freeze and the rest "
    "(kolm policy new).",
)
@click.option(
    "--pack",
    type=FOLDER,
    metavar="STORE",
    required=True,
    help="The capture store whose captures the answer is scored on.",
)
@click.option(
    "--sealed",
    is_flag=True,
    help="Tell the root of the pack alone: you score the bundle on it once it is made (kolm eval).",
)
@click.option(
    "--base",
    metavar="BASE",
    help="The only base that is accepted, by folder or name, as it is now.",
)
@click.option("--name", metavar="NAME", help="Name of the request. Default: that of the policy.")
@KEY
@output_option("The file. Default: NAME.request.json in this folder.")
@click.option("--force", is_flag=True, help="Replace another file of that name.")
def new(output: Path | None, **asked: Any) -> None:
    """Sign what a bundle must be and pass, with a nonce drawn here and now."""
    from kolm.actions import requests
    from kolm.cli.passphrase import ask_passphrase

    target, made = requests.new_request(output, ask_passphrase=ask_passphrase, **asked)
    _output.current().answer(
        "cli-request-new",
        {"file": str(target), "digest": made.digest, "pack": made.said["pack"]},
        f"wrote {target}   {made.digest}",
        brief=made.digest,
        wrote=target,
    )


@command.command("show")
@click.argument("request", type=FILE)
@TRUST
def show(request: Path, trust: Path | None) -> None:
    """Say in words what REQUEST asks, and who signed it.

    Exit code: 0 a key that you trust as a buyer has signed it, 1 none has, 3 you do not know the
    key.
    """
    from kolm.actions import requests

    out = _output.current()
    found, problem = requests.show_request(request, trust=trust)
    out.answer(
        "cli-request-show",
        found,
        lambda: _for_people(_output.in_lines(found)),
        brief=found["digest"],
    )
    if problem is not None:
        out.reporter.warned(problem.message)
        raise click.exceptions.Exit(code_of_family(type(problem).__name__))


def _for_people(found: RequestShow) -> str:
    pack, signer = found["pack"], found["signer"] or "an unknown key"
    how = "you score on it" if pack["kind"] == "open" else "its buyer scores the bundle on it"
    rows = [
        ("signed by", f"{signer}, key {found['key'][:16]}"),
        ("nonce", found["nonce"]),
        ("pack", f"{pack['kind']}: {counted(pack['captures'], 'capture')}; {how}: {pack['root']}"),
        *((row["clause"], row["asks"]) for row in found["clauses"]),
        *(("needs", needed) for needed in found["needs"]),
    ]
    lines = [f"{found['name']}   {found['digest']}"]
    last = ""
    for label, told in rows:
        lines.append(f"  {'' if label == last else label:20} {told}")
        last = label
    return "\n".join(lines)
