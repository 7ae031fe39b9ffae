"""``kolm registry``: publish bundles under names and versions, find and pull them, re-check all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kolm.cli import output
from kolm.cli.exit_codes import ExitCode
from kolm.cli.options import BELOW_GATE, POLICY, TRUST

if TYPE_CHECKING:
    from kolm.registry.backends.backend import Backend
    from kolm.registry.check import Check
    from kolm.registry.seen import Seen
    from kolm.sign.trust import TrustStore

REGISTRY = click.option(
    "--registry",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("registry"),
    show_default=True,
    metavar="DIR",
    help="The folder of the registry.",
)

TONES = {"ok": "good", "failed": "bad", "could_not_look": "warn"}
EXITS = {
    "ok": ExitCode.DONE,
    "failed": ExitCode.NO,
    "could_not_look": ExitCode.COULD_NOT_LOOK,
}


@click.group(short_help="Publish to, pull from and check a folder of bundles.")
def command() -> None:
    """Publish to, pull from and check a folder of bundles.

    A name and a version point to a bundle through entries that trusted keys have signed. A
    published version is never changed.
    """


@command.command("init")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def init(folder: Path) -> None:
    """Make an empty registry in the new or empty FOLDER.

    What you saw in a registry that was there before is forgotten.
    """
    from kolm import paths
    from kolm.registry.backends.directory import Directory
    from kolm.registry.seen import Seen

    backend = Directory.create(folder)
    where = backend.where
    if Seen.of(paths.config_folder(), backend).forget():
        output.current().reporter.warned(
            f"what you had seen in the registry that was in {where} before is forgotten"
        )
    document = {"schema": "urn:kolm:cli-registry-init:v1", "registry": where}
    text = f"An empty registry is in {where}. Next:\n  kolm registry publish BUNDLE NAME@VERSION"
    output.current().answer(document, f"{text} --registry {where}")


@command.command("publish")
@click.argument("bundle", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("target", metavar="NAME@VERSION")
@REGISTRY
@click.option("--key", metavar="NAME", help="The signing key. Default: the only one there is.")
@POLICY
@BELOW_GATE
def publish(
    bundle: Path,
    target: str,
    folder: Path,
    key: str | None,
    policy_file: Path | None,
    allow_below_gate: bool,
) -> None:
    """Verify BUNDLE and publish it as NAME@VERSION.

    Publishing the same bundle again changes nothing; another bundle under a published version is
    refused.
    """
    from kolm.actions.signing import choose_key
    from kolm.cli.passphrase import ask_passphrase
    from kolm.registry.backends.directory import Directory
    from kolm.registry.publish import Publisher
    from kolm.registry.references import parse_target

    name, version = parse_target(target)
    backend = Directory.open(folder)
    signer = choose_key(key, ask_passphrase)
    trust = _trust()
    check = _check(trust, policy_file, allow_below_gate)
    with _seen(backend) as seen:
        publisher = Publisher(key=signer, trust=trust, check=check, seen=seen)
        published = publisher.publish(backend, bundle, name, version)
    entry = published.entry
    document = {
        "schema": "urn:kolm:cli-registry-publish:v1",
        "name": entry.name,
        "version": entry.version,
        "content_id": entry.bundle,
        "cid": _cid(entry.bundle),
        "file": entry.file.digest,
        "entry": published.digest,
        "sequence": entry.sequence,
        "new": published.new,
    }
    done = "published" if published.new else "was published already"
    text = f"{entry.name}@{entry.version} {done}\n  cid  {document['cid']}"
    output.current().answer(document, text, brief=str(document["cid"]))


@command.command("pull")
@click.argument("reference", metavar="NAME[@VERSION]|CID")
@REGISTRY
@click.option(
    "--output",
    "-o",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write. Default: NAME-VERSION.kolm in this folder.",
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
@POLICY
@BELOW_GATE
@TRUST
def pull(
    reference: str,
    folder: Path,
    target: Path | None,
    force: bool,
    policy_file: Path | None,
    allow_below_gate: bool,
    trust_file: Path | None,
) -> None:
    """Fetch a bundle, verify it, and write its file.

    A bare NAME means its highest release.
    """
    from kolm.registry import pull as pulling
    from kolm.registry.backends.directory import Directory
    from kolm.registry.references import parse_reference

    trust, backend = _trust(trust_file), Directory.open(folder)
    with _seen(backend) as seen:
        pulled = pulling.pull(
            backend,
            parse_reference(reference),
            trust=trust,
            check=_check(trust, policy_file, allow_below_gate),
            target=target,
            replace=force,
            seen=seen,
            reporter=output.current().reporter,
        )
    entry = pulled.signed.entry
    document = {
        "schema": "urn:kolm:cli-registry-pull:v1",
        "name": entry.name,
        "version": entry.version,
        "content_id": entry.bundle,
        "cid": _cid(entry.bundle),
        "path": str(pulled.path),
    }
    text = f"{entry.name}@{entry.version} verified and written to {pulled.path}"
    output.current().answer(
        document,
        f"{text}\n  cid  {document['cid']}",
        brief=str(pulled.path),
        wrote=target,
    )


@command.command("list")
@click.argument("name", required=False)
@REGISTRY
@TRUST
def list_(name: str | None, folder: Path, trust_file: Path | None) -> None:
    """List the names with their highest version, or all versions of NAME."""
    from kolm.registry.references import parse_name

    wanted = None if name is None else parse_name(name)
    listings = _browse(folder, trust_file, name=wanted)
    if wanted is not None and not listings:
        from kolm.errors import Unreadable

        raise Unreadable(
            "E_REFERENCE_UNKNOWN",
            "the registry has nothing by this reference",
            where=str(folder),
            found=wanted,
            hint="kolm registry list",
        )
    _answer_listings("list", listings, every_version=wanted is not None)


@command.command("search")
@click.argument("words", nargs=-1, required=True, metavar="WORD...")
@REGISTRY
@TRUST
def search(words: tuple[str, ...], folder: Path, trust_file: Path | None) -> int:
    """List the names that contain every WORD; the exit code is 1 if there is none."""
    listings = _browse(folder, trust_file, words=words)
    _answer_listings("search", listings, every_version=False)
    return ExitCode.DONE if listings else ExitCode.NO


@command.command("show")
@click.argument("reference", metavar="NAME[@VERSION]|CID")
@REGISTRY
@TRUST
def show(reference: str, folder: Path, trust_file: Path | None) -> None:
    """Show what a published bundle says: receipt, evaluation, K-score. Runs nothing."""
    from kolm.cli.registry_text import bundle_text
    from kolm.registry.backends.directory import Directory
    from kolm.registry.catalog import describe
    from kolm.registry.references import parse_reference
    from kolm.registry.resolve import resolve

    backend, trust = Directory.open(folder), _trust(trust_file)
    with _seen(backend) as seen:
        wanted = parse_reference(reference)
        signed = resolve(backend, wanted, trust, seen=seen, reporter=output.current().reporter)
    found = describe(backend, signed, trust)
    document = {"schema": "urn:kolm:cli-registry-show:v1", **found}
    output.current().answer(document, lambda: bundle_text(found), brief=found["entry"]["cid"])


@command.command("verify")
@REGISTRY
@POLICY
@TRUST
def verify(folder: Path, policy_file: Path | None, trust_file: Path | None) -> int:
    """Re-check every history, signature, file and bundle of the registry."""
    from kolm.cli.registry_text import audit_text
    from kolm.registry.audit import audit
    from kolm.registry.backends.directory import Directory

    out = output.current()
    trust, backend = _trust(trust_file), Directory.open(folder)
    with _seen(backend) as seen:
        found = audit(
            backend,
            trust=trust,
            check=_check(trust, policy_file),
            seen=seen,
            reporter=out.reporter,
        ).to_document()
    document = {"schema": "urn:kolm:cli-registry-verify:v1", **found}
    headline = out.paint(found["verdict"].replace("_", " "), TONES[found["verdict"]])
    out.answer(document, lambda: audit_text(found, headline), brief=found["verdict"])
    return EXITS[found["verdict"]]


def _trust(file: Path | None = None) -> TrustStore:
    from kolm import paths
    from kolm.sign.trust import TrustStore

    return TrustStore.load_file(file) if file else TrustStore.load(paths.config_folder())


@contextlib.contextmanager
def _seen(backend: Backend) -> Iterator[Seen]:
    """What this user has seen in a registry; what is seen meanwhile is kept, refused or not."""
    from kolm import paths
    from kolm.errors import Denied, Lacking
    from kolm.registry.seen import Seen

    seen = Seen.of(paths.config_folder(), backend)
    try:
        yield seen
    finally:
        try:
            seen.save()
        except (Denied, Lacking) as error:
            told = "what was seen is not remembered, so that a rollback would not be noticed"
            output.current().reporter.warned(f"{told}: {error}")


def _check(
    trust: TrustStore, policy_file: Path | None, allow_below_gate: bool | None = None
) -> Check:
    """The check of a command; `allow_below_gate` is None where the command has no such option."""
    from datetime import UTC, datetime

    from kolm.registry.check import ALLOW_BELOW_GATE, verified
    from kolm.verify.policy import BUILT_IN, load_policy

    return verified(
        trust=trust,
        now=datetime.now(UTC),  # noqa: TID251 - the command line reads the clock
        policy=BUILT_IN if policy_file is None else load_policy(policy_file),
        below_gate=output.current().reporter.warned if allow_below_gate else None,
        way_out="" if allow_below_gate is None else ALLOW_BELOW_GATE,
    )


def _cid(content: Any) -> str:
    from kolm.bundle.cid import cid_of

    return cid_of(content)


def _browse(
    folder: Path,
    trust_file: Path | None,
    *,
    name: str | None = None,
    words: tuple[str, ...] = (),
) -> list[dict[str, Any]]:
    """The names, or one of them; what a bundle says is read for the versions that are shown."""
    from kolm.registry.backends.directory import Directory
    from kolm.registry.catalog import browse, listing_to_document, summarise

    backend, trust = Directory.open(folder), _trust(trust_file)
    with _seen(backend) as seen:
        found = browse(backend, trust, words=words, seen=seen)
    listed = []
    for listing in found:
        if name not in (None, listing.name):
            continue
        document = listing_to_document(listing)
        shown = listing.versions if name else listing.versions[:1]
        for signed, entry in zip(shown, document["versions"], strict=False):
            if signed.counts:
                entry["summary"] = summarise(backend, signed, trust)
        listed.append(document)
    return listed


def _answer_listings(action: str, listings: list[dict[str, Any]], *, every_version: bool) -> None:
    from kolm.cli.registry_text import listings_text

    document = {"schema": f"urn:kolm:cli-registry-{action}:v1", "names": listings}
    brief = "\n".join(listing["name"] for listing in listings)
    output.current().answer(
        document, lambda: listings_text(listings, every_version=every_version), brief=brief
    )
