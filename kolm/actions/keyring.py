"""The compositions: signing keys, made, rotated and revoked, and whose signatures count."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from kolm import digest, outputs, paths, system
from kolm.actions.signing import (
    AskPassphrase,
    own_keys,
    passphrase_from_environment,
    public_half,
)
from kolm.errors import Denied, Refused, Usage
from kolm.sign import (
    keys,
    openssh,
    own_files,
    predicates,
    private_keys,
    timestamps,
    trust_changes,
)
from kolm.sign.keys import PublicKey
from kolm.sign.private_keys import PrivateKey
from kolm.sign.trust import Authority, KeyRole, Revocation, TrustedKey, TrustStore

ANY_NAME = ("*",)
_CERTIFICATES_BYTES = 128 * 1024  # eight certificates, comments between them included
_PEM_LABEL_BYTES = 4096  # where the label of a PEM text stands, comments before it included


class KeyMade(NamedTuple):
    """Keys that an action made or changed, the new one first, and the file of the private one."""

    entries: list[TrustedKey]
    path: Path


class KeyTrusted(NamedTuple):
    """A key that is trusted now, and the roles that it had before and has no more."""

    entry: TrustedKey
    lost: list[str]


class AuthorityTrusted(NamedTuple):
    """A time stamp authority that is trusted now: its first certificate by fingerprint."""

    name: str
    certificate: str
    subject: str
    until: str


def new_key(
    name: str = "default",
    *,
    algorithm: str = "ed25519",
    ask_passphrase: AskPassphrase = passphrase_from_environment,
    if_missing: bool = False,
) -> KeyMade:
    """Make a key pair and trust it in every role.

    `if_missing` leaves one of this name as it is, and trusts it where nobody was told of it yet: a
    killed call made it.

    `ask_passphrase` gives the new key's passphrase, or None for a key that is not encrypted.

    Raises:
        Usage: there is a key of this name.
    """
    store = own_keys()
    if if_missing and name in store.names():
        entry = own_key(name)
        return KeyMade([entry if entry.roles else _believe(entry)], store.path(name))
    store.demand_free(name)
    return _keep(name, private_keys.generate(algorithm), lambda: ask_passphrase(name))


def import_key(
    file: str | Path,
    *,
    name: str,
    ask_passphrase: AskPassphrase = passphrase_from_environment,
) -> KeyMade:
    """Take over a private key in the form of OpenSSH or PKCS #8, and trust it in every role.

    The file stays. A key that is encrypted there is encrypted here, with the same passphrase.

    Args:
        file: that only its owner can have changed.
        name: of the key here.
        ask_passphrase: called with `name` where the file is encrypted.

    Raises:
        Usage: there is a key of this name.
        KolmError: the file is no private key, or its passphrase is missing or wrong.
    """
    store, path = own_keys(), Path(file)
    store.demand_free(name)
    try:
        data = own_files.read(path, max_bytes=keys.MAX_PEM_BYTES, named=True)
    except FileNotFoundError as error:
        raise system.error_of(error, where=path) from None
    if not openssh.is_private(data):
        passphrase = ask_passphrase(name) if private_keys.is_encrypted(data) else None
        key = private_keys.read_private(data, passphrase=passphrase, where=str(path))
        return _keep(name, key, lambda: passphrase)
    passphrase = None
    try:
        key = openssh.read_private(data, passphrase=None, where=str(path))
    except Denied:
        passphrase = ask_passphrase(name)
        key = openssh.read_private(data, passphrase=passphrase, where=str(path))
    return _keep(name, key, lambda: passphrase)


def _keep(name: str, key: PrivateKey, passphrase: Callable[[], str | None]) -> KeyMade:
    """Put a key under a free name, and trust it in every role."""
    entry = _trusted(name, key.public, tuple(KeyRole), ANY_NAME)
    held = TrustStore.load(paths.config_folder())
    trust_changes.adding(held, entry)  # refuses a taken name before a file is made
    path = own_keys().create(name, key, passphrase())
    return KeyMade([_believe(entry)], path)


def _believe(own: TrustedKey) -> TrustedKey:
    """Trust a key of this user in every role."""
    entry = _trusted(own.name, own.key, tuple(KeyRole), ANY_NAME)
    trust_changes.change(paths.config_folder(), lambda held: trust_changes.adding(held, entry))
    return entry


def list_keys() -> list[TrustedKey]:
    """The keys that are trusted, and those that can sign here, by name."""
    trusted = TrustStore.load(paths.config_folder()).keys
    untrusted = [entry for entry in map(own_key, own_keys().names()) if not entry.roles]
    return sorted((*trusted, *untrusted), key=lambda entry: entry.name)


def trust_key(
    file: str | Path, *, name: str, roles: Collection[str], names: Sequence[str] = ()
) -> KeyTrusted:
    """Trust the public key in a PEM file, or in one of OpenSSH's, for these roles and no other.

    Args:
        file: of the public key.
        name: of the key's owner, used in every answer.
        roles: what the key is believed about; they replace those that it had.
        names: registry names that a publisher may publish: ``NAME``, ``OWNER/*`` or ``*``.

    Raises:
        Usage: a publisher without names, or names without a publisher.
        KolmError: the file is no public key.
    """
    if (KeyRole.PUBLISHER in roles) != bool(names):
        raise Usage(
            "E_TRUST_NAMES",
            "--names says what a publisher may publish: this role needs it, and no other has it",
            expected="--role publisher together with --names",
            hint="--names 'demo/*', or --names '*' for every name",
        )
    pem = Path(file)
    with system.naming(pem), pem.open("rb") as stream:
        data = stream.read(keys.MAX_PEM_BYTES + 1)
    read = openssh.read_public if openssh.is_public(data) else keys.read_public
    entry = _trusted(name, read(data, where=str(pem)), roles, names)
    folder = paths.config_folder()
    former = TrustStore.load(folder).find(entry.key.keyid)
    trust_changes.change(folder, lambda store: trust_changes.adding(store, entry))
    return KeyTrusted(entry, sorted(former.roles - entry.roles) if former else [])


def trust_authority(file: str | Path, *, name: str) -> AuthorityTrusted:
    """Believe a time stamp authority, by the certificates in a PEM file.

    Args:
        file: the roots and what is between; with the authority's own certificate, no other one of
            its root's counts.
        name: of the authority, used in every answer.

    Raises:
        Refused: ``E_CERTIFICATE_FORM``: the file holds no certificate, or no root.
        Usage: the name means another authority.
    """
    pem = Path(file)
    with system.naming(pem), pem.open("rb") as stream:
        data = stream.read(_CERTIFICATES_BYTES + 1)
    texts = _certificates(data, where=str(pem))
    authority = Authority(name, texts)
    folder = paths.config_folder()
    trust_changes.change(folder, lambda store: trust_changes.believing(store, authority))
    first = timestamps.certificates_of(authority)[0]
    return AuthorityTrusted(
        name=name,
        certificate=certificate_id(authority),
        subject=first.subject.rfc4514_string(),
        until=predicates.instant(first.not_valid_after_utc),
    )


def _certificates(data: bytes, *, where: str) -> tuple[str, ...]:
    """Each certificate of a PEM text as the library writes it."""
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        if len(data) > _CERTIFICATES_BYTES:
            raise ValueError("too large")
        found = timestamps.read_certificates(data)
    except ValueError:
        raise _no_certificates("there are no certificates in this file", where) from None
    if not any(one.issuer == one.subject for one in found):
        raise _no_certificates("no root is among the certificates", where)
    return tuple(dict.fromkeys(one.public_bytes(Encoding.PEM).decode() for one in found))


def _no_certificates(message: str, where: str) -> Refused:
    return Refused(
        "E_CERTIFICATE_FORM",
        message,
        where=where,
        expected="PEM texts of a time stamp authority's certificates, its root's among them",
        hint="ask the authority for its chain",
    )


def certificate_id(authority: Authority) -> str:
    """The SHA-256 of an authority's first certificate in DER, in hex: its fingerprint."""
    return digest.hex_of(digest.of_bytes(ssl.PEM_cert_to_DER_cert(authority.certificates[0])))


def list_authorities() -> list[Authority]:
    """The time stamp authorities that are trusted, by name."""
    return sorted(TrustStore.load(paths.config_folder()).authorities)


def export_key(
    name: str | None = None, *, output: Path | None = None, force: bool = False
) -> PublicKey:
    """The public half of a key of this user, written to a file where one is named.

    Raises:
        Usage: ``E_KEYS_EXPORT_OVER_PRIVATE``, a private key is at `output`, which is never
            replaced; or another file is, and `force` is not given.
    """
    found = public_half(name)
    if output is not None:
        with system.naming(output):
            regular = output.exists() and not outputs.is_stream(output)
            secret = regular and b"PRIVATE KEY" in output.read_bytes()[:_PEM_LABEL_BYTES]
        if secret:
            raise Usage(
                "E_KEYS_EXPORT_OVER_PRIVATE",
                "this file is a private key, and kolm never overwrites one",
                where=str(output),
                hint="choose another name for the public half",
            )
        outputs.write(output, found.pem.encode(), force=force)
    return found


def rotate_key(
    name: str | None = None,
    *,
    algorithm: str | None = None,
    ask_passphrase: AskPassphrase = passphrase_from_environment,
) -> KeyMade:
    """Replace a signing key. The old private key is destroyed; what it signed stays valid."""
    store = own_keys()
    name = store.choose(name)
    old = store.public(name)
    folder = paths.config_folder()
    former = [entry for entry in TrustStore.load(folder).keys if entry.name == name]
    key = private_keys.generate(algorithm or old.algorithm)
    roles = former[0].roles if former else frozenset(KeyRole)
    entry = _trusted(name, key.public, roles, former[0].names if former else ANY_NAME)

    def retire(held: TrustStore) -> TrustStore:
        for past in former:
            held = trust_changes.renaming(held, past.key.keyid, f"{name[:71]}-{past.key.keyid[:8]}")
        return trust_changes.adding(held, entry)

    retire(TrustStore.load(folder))  # refuses what cannot be kept before the key is gone
    with store.replacing(name, key, ask_passphrase(name)) as path:
        held = trust_changes.change(folder, retire)
    retired = [held.find(past.key.keyid) for past in former]
    return KeyMade([entry, *(past for past in retired if past)], path)


def named_key(name: str) -> TrustedKey:
    """A trusted key by its name or key id.

    Raises:
        Usage: none is called that, or several are.
    """
    return trust_changes.named(TrustStore.load(paths.config_folder()), name)


def revoke_key(name: str, *, reason: str = "") -> TrustedKey:
    """Stop believing a key, whatever date its signatures bear.

    Raises:
        Usage: none is called that, or several are.
    """
    found, now = named_key(name), datetime.now(UTC)  # noqa: TID251 - actions read the clock
    gone = Revocation(on=predicates.instant(now), reason=reason)
    trust_changes.change(
        paths.config_folder(), lambda store: trust_changes.revoking(store, found.key.keyid, gone)
    )
    return named_key(found.name)


def own_key(name: str) -> TrustedKey:
    """A key of this user as it is trusted, or without any role when it is not."""
    public = own_keys().public(name)
    found = TrustStore.load(paths.config_folder()).find(public.keyid)
    return found or _trusted(name, public, (), ())


def _trusted(name: str, key: PublicKey, roles: Collection[str], names: Sequence[str]) -> TrustedKey:
    held = frozenset(map(KeyRole, roles))
    return TrustedKey(
        name=name, key=key, roles=held, names=tuple(names) if KeyRole.PUBLISHER in held else ()
    )
