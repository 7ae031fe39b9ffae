"""``kolm registry``: publish bundles under names and versions, find and pull them, re-check all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kolm.cli import output
from kolm.cli.exit_codes import ExitCode
from kolm.cli.group import VerbGroup
from kolm.cli.options import BELOW_GATE, BUNDLE, FOLDER, KEY, POLICY, TRUST, output_option

if TYPE_CHECKING:
    from kolm.digest import Digest
    from kolm.records.answers import RegistryListListing


REGISTRY = click.option(
    "--registry",
    type=click.Path(file_okay=False),  # a text: a path would change other addresses
    default="registry",
    show_default=True,
    metavar="DIR",
    help="The folder of the registry.",
)

EXITS = {
    "ok": ExitCode.DONE,
    "failed": ExitCode.NO,
    "could_not_look": ExitCode.COULD_NOT_LOOK,
}


@click.group(cls=VerbGroup, short_help="Publish to, pull from and check a folder of bundles.")
def command() -> None:
    """Publish to, pull from and check a folder of bundles.

    A name and a version point to a bundle through entries that trusted keys have signed. A
    published version is never changed.
    """


@command.command("init")
@click.argument("folder", type=click.Path(file_okay=False))
def init(folder: str) -> None:
    """Make an empty registry in the new or empty FOLDER.

    What you saw in a registry that was there before is forgotten.
    """
    from kolm.actions import registries

    where, forgot = registries.create_registry(folder)
    if forgot:
        output.current().reporter.warned(
            f"what you had seen in the registry that was in {where} before is forgotten"
        )
    text = f"An empty registry is in {where}. Next:\n  kolm registry publish BUNDLE NAME@VERSION"
    told = f"{text} --registry {where}"
    output.current().answer("cli-registry-init", {"registry": where}, told)


@command.command("publish")
@BUNDLE
@click.argument("target", metavar="NAME@VERSION")
@REGISTRY
@KEY
@POLICY
@BELOW_GATE
@click.option(
    "--states",
    type=FOLDER,
    help="The folder checkpoints of the training: the registry keeps the states beside BUNDLE, for "
    "kolm verify --replay.",
)
def publish(bundle: Path, target: str, **asked: Any) -> None:
    """Verify BUNDLE and publish it as NAME@VERSION.

    Publishing the same bundle again changes nothing; another bundle under a published version is
    refused.
    """
    from kolm.actions import registries
    from kolm.cli.passphrase import ask_passphrase

    published = registries.publish(
        bundle, target, ask_passphrase=ask_passphrase, reporter=output.current().reporter, **asked
    )
    entry = published.entry
    document = {
        "name": entry["name"],
        "version": entry["version"],
        "content_id": entry["bundle"],
        "cid": _cid(entry["bundle"]),
        "file": entry["file"]["digest"],
        "entry": published.digest,
        "sequence": entry["sequence"],
        "new": published.new,
    }
    done = "published" if published.new else "was published already"
    text = f"{entry['name']}@{entry['version']} {done}\n  cid  {document['cid']}"
    output.current().answer("cli-registry-publish", document, text, brief=str(document["cid"]))


@command.command("pull")
@click.argument("reference", metavar="NAME[@VERSION]|CID")
@REGISTRY
@output_option("The file to write. Default: NAME-VERSION.kolm in this folder.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@POLICY
@BELOW_GATE
@TRUST
def pull(reference: str, **asked: Any) -> None:
    """Fetch a bundle, verify it, and write its file.

    A bare NAME means its highest release.
    """
    from kolm.actions import registries

    pulled = registries.pull(reference, reporter=output.current().reporter, **asked)
    entry = pulled.signed.entry
    document = {
        "name": entry["name"],
        "version": entry["version"],
        "content_id": entry["bundle"],
        "cid": _cid(entry["bundle"]),
        "path": str(pulled.path),
    }
    text = f"{entry['name']}@{entry['version']} accepted and written to {pulled.path}"
    output.current().answer(
        "cli-registry-pull",
        document,
        f"{text}\n  cid  {document['cid']}",
        brief=str(pulled.path),
        wrote=asked["output"],
    )


@command.command("list")
@click.argument("name", required=False)
@REGISTRY
@TRUST
def list_(name: str | None, **asked: Any) -> None:
    """List the names with their highest version, or all versions of NAME."""
    listings = _browse(name=name, **asked)
    _answer_listings("list", listings, asked["registry"], every_version=name is not None)


@command.command("search")
@click.argument("words", nargs=-1, required=True, metavar="WORD...")
@REGISTRY
@TRUST
def search(**asked: Any) -> int:
    """List the names that contain every WORD; the exit code is 1 if there is none."""
    listings = _browse(**asked)
    _answer_listings("search", listings, asked["registry"], every_version=False)
    return ExitCode.DONE if listings else ExitCode.NO


@command.command("show")
@click.argument("reference", metavar="NAME[@VERSION]|CID")
@REGISTRY
@TRUST
def show(reference: str, **asked: Any) -> None:
    """Show what a published bundle says: receipt, evaluation, K-score. Runs nothing."""
    from kolm.actions import registries
    from kolm.cli.registry_text import bundle_text

    found = registries.show(reference, reporter=output.current().reporter, **asked)
    output.current().answer(
        "cli-registry-show", found, lambda: bundle_text(found), brief=found["entry"]["cid"]
    )


@command.command("verify")
@REGISTRY
@POLICY
@TRUST
def verify(**asked: Any) -> int:
    """Re-check every history, signature, file and bundle of the registry."""
    from kolm.actions import registries
    from kolm.cli.registry_text import audit_text
    from kolm.cli.verification_text import TITLES
    from kolm.records.verification import Verdict

    out = output.current()
    found = registries.verify_registry(reporter=out.reporter, **asked).to_document()
    headline = out.paint(*TITLES[Verdict(found["verdict"])])
    out.answer(
        "cli-registry-verify",
        found,
        lambda: audit_text(found, headline),
        brief=found["verdict"],
    )
    return EXITS[found["verdict"]]


def _cid(content: Digest) -> str:
    from kolm.bundle.cid import cid_of

    return cid_of(content)


def _browse(**asked: Any) -> list[RegistryListListing]:
    from kolm.actions import registries

    return registries.list_registry(reporter=output.current().reporter, **asked)


def _answer_listings(
    action: str, listings: list[RegistryListListing], registry: str, *, every_version: bool
) -> None:
    from kolm.cli.registry_text import listings_text

    output.current().answer(
        f"cli-registry-{action}",
        {"names": listings},
        lambda: listings_text(listings, every_version=every_version, registry=registry),
        brief="\n".join(listing["name"] for listing in listings),
    )
