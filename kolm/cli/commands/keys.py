"""``kolm keys``: make signing keys, and say whose signatures count for what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from kolm.cli import output
from kolm.cli.group import VerbGroup
from kolm.cli.options import FILE, output_option
from kolm.cli.passphrase import VARIABLE, new_passphrase
from kolm.sign.signers import SIGNERS

if TYPE_CHECKING:
    from kolm.records.answers import KeysListRow, KeysListRowAlgorithm
    from kolm.sign.trust import TrustedKey

ROLES = ("builder", "evaluator", "verifier", "endorser", "publisher", "buyer")

PASSPHRASE = click.option(
    "--passphrase", "ask", is_flag=True, help=f"Encrypt the key with a passphrase ({VARIABLE})."
)


@click.group(cls=VerbGroup, short_help="Make signing keys and say whose signatures you trust.")
def command() -> None:
    """Make signing keys and say whose signatures you trust.

    Private keys never leave the keys folder. Nobody is trusted who is not named here.
    """


@command.command("new")
@click.option(
    "--algorithm",
    type=click.Choice(SIGNERS),
    default="ed25519",
    show_default=True,
    help="Kind of key; p256 for tools that take nothing else.",
)
@click.option(
    "--name", default="default", show_default=True, help="Name of the key on this machine."
)
@PASSPHRASE
@click.option("--if-missing", is_flag=True, help="Do nothing if there is a key of this name.")
def new(algorithm: str, name: str, ask: bool, if_missing: bool) -> None:
    """Make a key pair and trust it in every role."""
    from kolm.actions import keyring

    made = keyring.new_key(
        name,
        algorithm=algorithm,
        ask_passphrase=lambda name: new_passphrase(name, ask),
        if_missing=if_missing,
    )
    _answer("new", made.entries, path=made.path)


@command.command("import")
@click.argument("file", type=FILE)
@click.option(
    "--name", default="default", show_default=True, help="Name of the key on this machine."
)
def import_(file: Path, name: str) -> None:
    """Take over the private key in FILE, such as ~/.ssh/id_ed25519, and trust it in every role.

    FILE is as ssh-keygen or openssl (PKCS #8) writes it, of Ed25519 or NIST P-256, and stays.
    """
    from kolm.actions import keyring
    from kolm.cli.passphrase import ask_passphrase

    made = keyring.import_key(file, name=name, ask_passphrase=ask_passphrase)
    _answer("import", made.entries, path=made.path)


@command.command("list")
def list_() -> None:
    """List the keys that are trusted, and those that can sign here."""
    from kolm.actions import keyring

    found = keyring.list_authorities()
    _answer(
        "list",
        keyring.list_keys(),
        authorities=[(authority.name, keyring.certificate_id(authority)) for authority in found],
    )


@command.command("trust")
@click.argument("pubkey", metavar="PUBKEY", type=FILE)
@click.option(
    "--as",
    "name",
    required=True,
    metavar="NAME",
    help="A name for the key's owner, shown in every result.",
)
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    type=click.Choice(ROLES),
    help="Believe the key in this role; repeatable.",
)
@click.option(
    "--names",
    "rules",
    multiple=True,
    metavar="RULE",
    help="For publishers: the registry names they may publish: NAME, OWNER/* or *.",
)
def trust_(pubkey: Path, name: str, roles: tuple[str, ...], rules: tuple[str, ...]) -> None:
    """Trust the public key in PUBKEY, for the roles given and for no other.

    PUBKEY is a PEM file, as `kolm keys export` writes it, or a .pub file of OpenSSH's.

    Given again for the same key, the new roles and names replace the old ones: name all of them.
    """
    from kolm.actions import keyring

    entry, lost = keyring.trust_key(pubkey, name=name, roles=roles, names=rules)
    if lost:
        output.current().reporter.warned(
            f"{name} is no longer trusted as {', '.join(lost)}: the roles given replace the old"
        )
    _answer("trust", [entry])


@command.command("authority")
@click.argument("certificates", type=FILE)
@click.option(
    "--as",
    "name",
    required=True,
    metavar="NAME",
    help="A name for the authority, shown in every result.",
)
def authority(certificates: Path, name: str) -> None:
    """Believe a time stamp authority (RFC 3161), by the CERTIFICATES in a PEM file.

    The file holds the root, and what is between. With the authority's own certificate in it, no
    other one of the same root counts.
    """
    from kolm.actions import keyring

    found = keyring.trust_authority(certificates, name=name)
    output.current().answer(
        "cli-keys-authority",
        found._asdict(),
        f"{found.certificate}  time stamps\n    {found.name}: {found.subject}, until {found.until}",
        brief=found.certificate,
    )


@command.command("export")
@click.argument("name", required=False)
@output_option("Write the PEM text to this file instead of stdout.")
@click.option("--force", is_flag=True, help="Replace another file, but never a private key.")
def export(name: str | None, **asked: Any) -> None:
    """Show the public half of a key, for those who should trust it."""
    from kolm.actions import keyring

    found, target = keyring.export_key(name, **asked), asked["output"]
    document = {
        "algorithm": found.algorithm,
        "key": found.keyid,
        "pem": found.pem,
        "path": None if target is None else str(target),
    }
    out = output.current()
    text = found.pem.rstrip("\n") if target is None else f"wrote {target}, key {found.keyid}"
    out.answer(
        "cli-keys-export", document, text, brief=text if target is None else "", wrote=target
    )


@command.command("rotate")
@click.argument("name", required=False)
@click.option("--algorithm", type=click.Choice(SIGNERS), help="Default: that of the old key.")
@PASSPHRASE
def rotate(name: str | None, algorithm: str | None, ask: bool) -> None:
    """Replace a signing key. The old private key is destroyed; what it signed stays valid.

    Give the new public key to those who trust the old one. After a theft, also revoke the old key.
    """
    from kolm.actions import keyring

    made = keyring.rotate_key(
        name, algorithm=algorithm, ask_passphrase=lambda name: new_passphrase(name, ask)
    )
    _answer("rotate", made.entries, path=made.path)


@command.command("revoke")
@click.argument("name", metavar="NAME|KEY")
@click.option("--reason", default="", help="Why; kept with the revocation.")
def revoke(name: str, reason: str) -> None:
    """Stop believing a key, whatever date its signatures bear.

    A claim that it signed keeps counting only where another trusted key audited it before.
    """
    from kolm.actions import keyring
    from kolm.errors import Usage

    found, out = keyring.named_key(name), output.current()
    if not out.confirm(
        f"Revoke key {found.key.keyid[:16]}, called {found.name}? This cannot be undone."
    ):
        raise Usage("E_KEYS_NOT_CONFIRMED", "nothing was revoked", hint="answer y, or pass --yes")
    _answer("revoke", [keyring.revoke_key(found.key.keyid, reason=reason)])


def _answer(
    action: str,
    entries: list[TrustedKey],
    *,
    path: Path | None = None,
    authorities: list[tuple[str, str]] | None = None,
) -> None:
    from kolm.actions.signing import own_keys

    store = own_keys()
    own = {store.public(name).keyid for name in store.names()}
    rows = [_row(entry, own) for entry in entries]
    made: dict[str, object] = {} if path is None else {"path": str(path)}
    if authorities is not None:
        made["authorities"] = [
            {"name": name, "certificate": certificate} for name, certificate in authorities
        ]
    out = output.current()
    brief = "\n".join(row["name"] if action == "list" else row["key"] for row in rows)
    out.answer(
        f"cli-keys-{action}",
        {"keys": rows, **made},
        lambda: _for_people(rows, path, authorities or ()),
        brief=brief,
    )


def _row(entry: TrustedKey, own: set[str]) -> KeysListRow:
    row: KeysListRow = {
        "name": entry.name,
        "key": entry.key.keyid,
        "algorithm": cast("KeysListRowAlgorithm", entry.key.algorithm),
        "roles": sorted(role.value for role in entry.roles),
        "names": sorted(entry.names),
        "signs_here": entry.key.keyid in own,
    }
    if entry.revoked is not None:
        row["revoked"] = {"on": entry.revoked.on, "reason": entry.revoked.reason}
    return row


def _for_people(
    rows: list[KeysListRow], path: Path | None, authorities: Sequence[tuple[str, str]]
) -> str:
    if not rows and not authorities:
        return "No key is trusted yet. Make one:  kolm keys new"
    lines = []
    for row in rows:
        marks = ["signs here"] if row["signs_here"] else []
        if "revoked" in row:
            reason = f": {row['revoked']['reason']}" if row["revoked"]["reason"] else ""
            marks.append(f"REVOKED {row['revoked']['on']}{reason}")
        names = f" ({', '.join(row['names'])})" if row["names"] else ""
        lines.append(f"{row['key']}  {row['algorithm']}")
        lines.append(f"    {row['name']}: {', '.join(row['roles']) or 'not trusted'}{names}")
        lines += [f"    {mark}" for mark in marks]
    for name, certificate in authorities:
        lines += [f"{certificate}  time stamps", f"    {name}"]
    if path is not None:
        lines.append(f"private key in {path}")
    return "\n".join(lines)
