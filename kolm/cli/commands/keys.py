"""``kolm keys``: make signing keys, and say whose signatures count for what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kolm.cli import output
from kolm.cli.passphrase import VARIABLE, new_passphrase

if TYPE_CHECKING:
    from kolm.sign.keystore import KeyStore
    from kolm.sign.trust import TrustedKey, TrustStore

ALGORITHMS = ("ed25519", "p256")
ROLES = ("builder", "evaluator", "verifier", "publisher")
ANY_NAME = ("*",)
_PEM_LABEL_BYTES = 4096  # where the label of a PEM text stands, comments before it included

PASSPHRASE = click.option(
    "--passphrase", "ask", is_flag=True, help=f"Ask for a passphrase ({VARIABLE})."
)


@click.group(short_help="Make signing keys and say whose signatures you trust.")
def command() -> None:
    """Make signing keys and say whose signatures you trust.

    Private keys never leave the keys folder. Nobody is trusted who is not named here.
    """


@command.command("new")
@click.option(
    "--algorithm",
    type=click.Choice(ALGORITHMS),
    default="ed25519",
    show_default=True,
    help="Kind of key; p256 for tools that take nothing else.",
)
@click.option("--name", default="default", show_default=True, help="What the key is called here.")
@PASSPHRASE
@click.option("--if-missing", is_flag=True, help="Leave a key that has this name as it is.")
def new(algorithm: str, name: str, ask: bool, if_missing: bool) -> None:
    """Make a key pair and trust it in every role."""
    from kolm import paths
    from kolm.sign import keys, trust

    store = _store()
    if if_missing and name in store.names():
        _answer("new", [_known(name)], path=store.path(name))
        return
    store.demand_free(name)
    key = keys.generate(algorithm)
    entry = _trusted(name, key.public, ROLES, ANY_NAME)
    folder = paths.config_folder()
    trust.TrustStore.load(folder).with_key(entry)  # refuses a taken name before a file is made
    path = store.create(name, key, new_passphrase(name, ask))
    trust.change(folder, lambda held: held.with_key(entry))
    _answer("new", [entry], path=path)


@command.command("list")
def list_() -> None:
    """List the keys that are trusted, and those that can sign here."""
    from kolm import paths
    from kolm.sign.trust import TrustStore

    trusted = TrustStore.load(paths.config_folder()).keys
    untrusted = [entry for entry in map(_known, _store().names()) if not entry.roles]
    _answer("list", sorted((*trusted, *untrusted), key=lambda entry: entry.name))


@command.command("trust")
@click.argument("pubkey", metavar="PUBKEY", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--as",
    "name",
    required=True,
    metavar="NAME",
    help="A name for the key's owner, used in every answer.",
)
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    type=click.Choice(ROLES),
    help="What the key is believed about; may be given repeatedly.",
)
@click.option(
    "--names",
    "rules",
    multiple=True,
    metavar="RULE",
    help="For publishers: the registry names they may publish: NAME, OWNER/* or *.",
)
def trust_(pubkey: Path, name: str, roles: tuple[str, ...], rules: tuple[str, ...]) -> None:
    """Trust the public key in the PEM file PUBKEY, for the roles given and for no other.

    Given again for the same key, the new roles and names replace the old ones: name all of them.
    """
    from kolm import paths, system
    from kolm.errors import Usage
    from kolm.sign import keys, trust

    if ("publisher" in roles) != bool(rules):
        raise Usage(
            "E_TRUST_NAMES",
            "a publisher needs the names that it may publish, and only a publisher has them",
            expected="--role publisher together with --names",
            hint="--names 'demo/*', or --names '*' for every name",
        )
    with system.naming(pubkey), pubkey.open("rb") as stream:
        data = stream.read(keys.MAX_PEM_BYTES + 1)
    entry = _trusted(name, keys.read_public(data, where=str(pubkey)), roles, rules)
    former = trust.TrustStore.load(paths.config_folder()).find(entry.key.keyid)
    trust.change(paths.config_folder(), lambda store: store.with_key(entry))
    lost = sorted(former.roles - entry.roles) if former else []
    if lost:
        output.current().reporter.warned(
            f"{name} is no longer trusted as {', '.join(lost)}: the roles given replace the old"
        )
    _answer("trust", [entry])


@command.command("export")
@click.argument("name", required=False)
@click.option(
    "--output",
    "-o",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the PEM text to this file instead of stdout.",
)
@click.option("--force", is_flag=True, help="Replace another file, but never a private key.")
def export(name: str | None, target: Path | None, force: bool) -> None:
    """Show the public half of a key, to hand to whoever shall trust it."""
    store = _store()
    found = store.public(store.choose(name))
    if target is not None:
        _write_public(target, found.pem.encode(), force=force)
    document = {
        "schema": "urn:kolm:cli-keys-export:v1",
        "algorithm": found.algorithm,
        "key": found.keyid,
        "pem": found.pem,
        "path": None if target is None else str(target),
    }
    out = output.current()
    text = found.pem.rstrip("\n") if target is None else f"wrote {target}, key {found.keyid}"
    out.answer(document, text, brief=text if target is None else "", wrote=target)


def _write_public(target: Path, pem: bytes, *, force: bool) -> None:
    from kolm import outputs, system
    from kolm.errors import Usage

    with system.naming(target):
        regular = target.exists() and not outputs.is_stream(target)
        secret = regular and b"PRIVATE KEY" in target.read_bytes()[:_PEM_LABEL_BYTES]
    if secret:
        raise Usage(
            "E_KEYS_EXPORT_OVER_PRIVATE",
            "a private key is there, and it is never replaced",
            where=str(target),
            hint="choose another name for the public half",
        )
    outputs.write(target, pem, force=force)


@command.command("rotate")
@click.argument("name", required=False)
@click.option("--algorithm", type=click.Choice(ALGORITHMS), help="Default: that of the old key.")
@PASSPHRASE
def rotate(name: str | None, algorithm: str | None, ask: bool) -> None:
    """Replace a signing key. The old private key is destroyed; what it signed stays valid.

    Hand the new public key to those who trust the old one. After a theft, also revoke the old key.
    """
    from kolm import paths
    from kolm.sign import keys, trust

    store = _store()
    name = store.choose(name)
    old = store.public(name)
    folder = paths.config_folder()
    former = [entry for entry in trust.TrustStore.load(folder).keys if entry.name == name]
    key = keys.generate(algorithm or old.algorithm)
    roles = tuple(former[0].roles) if former else ROLES
    entry = _trusted(name, key.public, roles, former[0].names if former else ANY_NAME)

    def retire(held: TrustStore) -> TrustStore:
        for past in former:
            held = held.renaming(past.key.keyid, f"{name[:71]}-{past.key.keyid[:8]}")
        return held.with_key(entry)

    retire(trust.TrustStore.load(folder))  # refuses what cannot be kept before the key is gone
    path = store.replace(name, key, new_passphrase(name, ask))
    held = trust.change(folder, retire)
    retired = [held.find(past.key.keyid) for past in former]
    _answer("rotate", [entry, *(past for past in retired if past)], path=path)


@command.command("revoke")
@click.argument("name", metavar="NAME|KEY")
@click.option("--reason", default="", help="Why; kept with the revocation.")
def revoke(name: str, reason: str) -> None:
    """Stop believing a key, whatever date its signatures bear.

    A claim that it signed keeps counting only where another trusted key audited it before.
    """
    from datetime import UTC, datetime

    from kolm import paths
    from kolm.errors import Usage
    from kolm.sign import predicates, trust

    folder = paths.config_folder()
    found = trust.TrustStore.load(folder).named(name)
    out = output.current()
    if not out.confirm(f"Revoke {found.name}, key {found.key.keyid[:16]}? This cannot be undone."):
        raise Usage("E_KEYS_NOT_CONFIRMED", "nothing was revoked", hint="answer y, or pass --yes")
    now = datetime.now(UTC)  # noqa: TID251 - the command line reads the clock
    gone = trust.Revocation(on=predicates.instant(now), reason=reason)
    trust.change(folder, lambda store: store.revoking(found.key.keyid, gone))
    _answer("revoke", [_named(folder, found.name)])


def _store() -> KeyStore:
    from kolm import paths
    from kolm.sign.keystore import KeyStore

    return KeyStore(paths.config_folder() / "keys")


def _trusted(name: str, key: Any, roles: tuple[str, ...], rules: tuple[str, ...]) -> TrustedKey:
    from kolm.sign.trust import Role, TrustedKey

    return TrustedKey(
        name=name,
        key=key,
        roles=frozenset(Role(role) for role in roles),
        names=rules if "publisher" in roles else (),
    )


def _known(name: str) -> TrustedKey:
    """An own key as it is trusted, or without any role when it is not."""
    from kolm import paths
    from kolm.sign.trust import TrustStore

    public = _store().public(name)
    found = TrustStore.load(paths.config_folder()).find(public.keyid)
    return found or _trusted(name, public, (), ())


def _named(folder: Path, name: str) -> TrustedKey:
    from kolm.sign.trust import TrustStore

    return TrustStore.load(folder).named(name)


def _answer(action: str, entries: list[TrustedKey], *, path: Path | None = None) -> None:
    own = _own_keys()
    rows = [_row(entry, own) for entry in entries]
    document: dict[str, Any] = {"schema": f"urn:kolm:cli-keys-{action}:v1", "keys": rows}
    if path is not None:
        document["path"] = str(path)
    out = output.current()
    brief = "\n".join(row["name"] if action == "list" else row["key"] for row in rows)
    out.answer(document, lambda: _for_people(rows, path), brief=brief)


def _own_keys() -> set[str]:
    store = _store()
    return {store.public(name).keyid for name in store.names()}


def _row(entry: TrustedKey, own: set[str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": entry.name,
        "key": entry.key.keyid,
        "algorithm": entry.key.algorithm,
        "roles": sorted(entry.roles),
        "names": sorted(entry.names),
        "signs_here": entry.key.keyid in own,
    }
    if entry.revoked is not None:
        row["revoked"] = {"on": entry.revoked.on, "reason": entry.revoked.reason}
    return row


def _for_people(rows: list[dict[str, Any]], path: Path | None) -> str:
    if not rows:
        return "No key is trusted yet. Make one:  kolm keys new"
    lines = []
    for row in rows:
        marks = ["signs here"] if row["signs_here"] else []
        if "revoked" in row:
            reason = f": {row['revoked']['reason']}" if row["revoked"]["reason"] else ""
            marks.append(f"REVOKED {row['revoked']['on']}{reason}")
        names = f" ({', '.join(row['names'])})" if row["names"] else ""
        lines.append(f"{row['name']:20} {row['algorithm']:8} {row['key']}")
        lines.append(f"{'':20} {', '.join(row['roles']) or 'not trusted'}{names}")
        lines += [f"{'':20} {mark}" for mark in marks]
    if path is not None:
        lines.append(f"private key in {path}")
    return "\n".join(lines)
