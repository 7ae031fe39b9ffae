"""Trust: its keys by name, and how it is changed: a key more, another name, a revocation.

Whoever only verifies changes nothing. A store is a value: every change gives a new one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kolm import canonical, paths, schema
from kolm.errors import Refused, Usage
from kolm.records import kinds
from kolm.sign import own_files
from kolm.sign.keys import shown
from kolm.sign.trust import FILE_NAME, Authority, Revocation, TrustedKey, TrustStore


def named(store: TrustStore, name: str) -> TrustedKey:
    """The believed key with a name, or with an id that begins with at least 8 digits of it.

    Raises:
        Usage: there is none, or the digits fit several.
    """
    exact = [entry for entry in store.keys if entry.name == name]
    found = exact or [
        entry for entry in store.keys if len(name) >= 8 and entry.key.keyid.startswith(name)
    ]
    if len(found) != 1:
        names = sorted(f"{entry.name} ({shown(entry.key.keyid)})" for entry in store.keys)
        raise Usage(
            "E_TRUST_NO_SUCH_KEY",
            "several keys begin with this" if found else "no trusted key has this name or id",
            expected="one of " + ", ".join(names) if names else "a trusted key",
            found=name[:80],
            hint="kolm keys list",
        )
    return found[0]


def adding(store: TrustStore, new: TrustedKey) -> TrustStore:
    """The store with one more key, or with new roles for a key that it has under this name.

    Raises:
        Usage: the name or a rule is malformed, the name means another key, or the key has
            another name.
        Refused: the key was revoked.
    """
    _demand_form(new)
    known = store.find(new.key.keyid)
    if known is not None and known.revoked is not None:
        raise Refused(
            "E_KEY_REVOKED",
            "the key was revoked and cannot be trusted again",
            where=known.name,
            found=f"revoked on {known.revoked.on}: {known.revoked.reason}",
            hint="make a new key: kolm keys new",
        )
    if known is not None and known.name != new.name:
        raise Usage(
            "E_TRUST_NAME_TAKEN",
            f"{shown(known.key.keyid, known.name)} is trusted already, and not as {new.name}",
            expected=known.name,
            found=new.name,
            hint=f"leave it as it is, or change its roles with --as {known.name}",
        )
    other = next((entry.key for entry in store.keys if entry.name == new.name), None)
    if known is None and other is not None:
        raise Usage(
            "E_TRUST_NAME_TAKEN",
            f"another key has this name: {shown(other.keyid)}",
            found=f"{new.name}, for {shown(new.key.keyid)}",
            hint="choose another name; kolm keys list shows those that are taken",
        )
    rest = tuple(entry for entry in store.keys if entry.key.keyid != new.key.keyid)
    return store._replace(keys=(*rest, new))


def renaming(store: TrustStore, keyid: str, name: str) -> TrustStore:
    """The store with a key under another name."""
    return _with(store, keyid, lambda entry: entry._replace(name=name))


def revoking(store: TrustStore, keyid: str, revocation: Revocation) -> TrustStore:
    """The store with a key revoked; a second revocation does not move the first."""
    return _with(store, keyid, lambda e: e if e.revoked else e._replace(revoked=revocation))


def _with(store: TrustStore, keyid: str, change: Callable[[TrustedKey], TrustedKey]) -> TrustStore:
    keys = tuple(change(entry) if entry.key.keyid == keyid else entry for entry in store.keys)
    return store._replace(keys=keys)


def believing(store: TrustStore, authority: Authority) -> TrustStore:
    """The store with one more time stamp authority.

    Raises:
        Usage: the name is malformed, or means another authority.
    """
    made = store._replace(authorities=tuple({*store.authorities, authority}))
    if len({known.name for known in made.authorities}) < len(made.authorities):
        raise Usage(
            "E_TRUST_NAME_TAKEN",
            "another time stamp authority has this name",
            found=authority.name,
            hint="choose another name; kolm keys list shows those that are taken",
        )
    problem = schema.checker(kinds.TRUST)(made.to_document())
    if problem is not None:
        raise Usage(
            "E_TRUST_FORM",
            f"the authority cannot be trusted like this: {problem[1]}",
            where=authority.name,
            expected="a name of a-z, 0-9, - and _; one to eight certificates",
        )
    return made


def change(folder: Path, apply: Callable[[TrustStore], TrustStore]) -> TrustStore:
    """Read the trust file, apply a change and replace the file; two changes at once both count.

    Raises:
        Usage: ``E_TRUST_FORM``: what could not be read again is not written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    own_files.demand_folder(folder)
    with paths.locked(folder / f".{FILE_NAME}.lock"):
        store = apply(TrustStore.load(folder))
        document = store.to_document()
        try:
            TrustStore.from_document(document, where=FILE_NAME)
        except Refused as error:
            raise Usage(
                "E_TRUST_FORM",
                f"trust cannot be changed like this: {error.message}",
                where=error.where,
                found=error.found,
            ) from None
        paths.atomic_write(folder / FILE_NAME, canonical.dumps(document), mode=0o600)
    return store


def _demand_form(new: TrustedKey) -> None:
    """Refuse what could not be read again, before it is written."""
    problem = schema.checker(kinds.TRUST)(TrustStore((new,)).to_document())
    if problem is not None:
        raise Usage(
            "E_TRUST_FORM",
            f"the key cannot be trusted like this: {problem[1]}",
            where=new.name,
            expected="a name of a-z, 0-9, - and _; a role; name rules such as demo, demo/* or *",
        )
