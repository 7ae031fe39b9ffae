"""Trust: the public keys that this person or machine believes, and for what.

The only source of trust in kolm. A key that arrives with a bundle or an entry is a name to look
up here, never a reason to believe. Rules: docs/format/trust.md.
"""

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from kolm import canonical, digest, schema
from kolm.digest import Digest
from kolm.errors import Refused, Unreadable, broken_file
from kolm.records import kinds
from kolm.sign import own_files
from kolm.sign.keys import PublicKey, read_public

if TYPE_CHECKING:
    from kolm.records.documents import Trust, TrustKey


FILE_NAME = "trust.json"
_SCHEMA: Final = "urn:kolm:trust:v1"


class KeyRole(StrEnum):
    """What a key is believed about."""

    BUILDER = "builder"  # provenance, modules, compute
    EVALUATOR = "evaluator"  # scores and gates
    VERIFIER = "verifier"  # that an audit took place
    ENDORSER = "endorser"  # that a second party stands behind it
    PUBLISHER = "publisher"  # which bundle a registry name means
    BUYER = "buyer"  # what is asked for before a bundle is made


class Revocation(NamedTuple):
    """When and why a key stopped being believed; the time is the revoker's own."""

    on: str
    reason: str


class TrustedKey(NamedTuple):
    """One believed key; `names` are the registry names it may publish."""

    name: str
    key: PublicKey
    roles: frozenset[KeyRole]
    names: tuple[str, ...] = ()
    revoked: Revocation | None = None

    def allows(self, role: KeyRole) -> bool:
        """Whether the key counts in a role today."""
        return self.revoked is None and role in self.roles

    def may_publish(self, name: str) -> bool:
        """Whether the key may say which bundle a registry name means."""
        return self.allows(KeyRole.PUBLISHER) and any(_covers(rule, name) for rule in self.names)


class Authority(NamedTuple):
    """Who is believed about time stamps, by certificates in PEM: `kolm.sign.timestamps`."""

    name: str
    certificates: tuple[str, ...]


def _covers(rule: str, name: str) -> bool:
    if rule.endswith("/*"):
        owner, slash, _ = name.partition("/")
        return slash == "/" and owner == rule[:-2]
    return rule in ("*", name)


class TrustStore(NamedTuple):
    """All believed keys, and time stamp authorities. A value: every change gives a new store."""

    keys: tuple[TrustedKey, ...] = ()
    authorities: tuple[Authority, ...] = ()

    @classmethod
    def load(cls, folder: Path) -> "TrustStore":
        """The trust file in one's own folder; no file means that nobody is believed yet.

        Raises:
            Unreadable: the file cannot be read, or is no trust file.
            Denied: ``E_OWN_FILE``: others may change it.
        """
        own_files.demand_folder(folder)
        try:
            data = own_files.read(folder / FILE_NAME, max_bytes=canonical.MAX_DOCUMENT_BYTES)
        except FileNotFoundError:
            return cls()
        return cls._read(data, folder / FILE_NAME)

    @classmethod
    def load_file(cls, path: Path) -> "TrustStore":
        """A trust file that the user named; a group may have a hand in it, everybody may not."""
        try:
            data = own_files.read(path, max_bytes=canonical.MAX_DOCUMENT_BYTES, named=True)
        except FileNotFoundError:
            raise Unreadable("E_TRUST_MISSING", "no such trust file", where=str(path)) from None
        return cls._read(data, path)

    @classmethod
    def _read(cls, data: bytes, path: Path) -> "TrustStore":
        try:
            return cls.from_document(canonical.loads(data, where=str(path)), where=str(path))
        except Refused as error:
            hint = "restore it from a copy, or trust the keys again: kolm keys trust"
            raise broken_file(error, "E_TRUST_BROKEN", "a trust file", hint=hint) from None

    @classmethod
    def from_document(cls, value: object, *, where: str) -> "TrustStore":
        """A store from its document.

        Raises:
            Refused: the document does not fit its schema, holds a key whose PEM text is not the
                canonical one, or holds a name or a key twice.
        """
        document = schema.check(kinds.TRUST, value, where=where)
        keys = tuple(
            _entry(item, where=f"{where}#/keys/{i}") for i, item in enumerate(document["keys"])
        )
        _demand_unique((entry.name for entry in keys), "name", where)
        _demand_unique((entry.key.keyid for entry in keys), "key", where)
        stamps = tuple(
            Authority(item["name"], tuple(item["certificates"]))
            for item in document.get("authorities", ())
        )
        _demand_unique((authority.name for authority in stamps), "name", where)
        return cls(keys, stamps)

    def to_document(self) -> "Trust":
        """The document of the store, keys by name."""
        ordered = sorted(self.keys, key=lambda entry: entry.name)
        made: Trust = {"schema": _SCHEMA, "keys": [_to_item(entry) for entry in ordered]}
        if self.authorities:
            known = sorted(self.authorities)
            made["authorities"] = [{"name": n, "certificates": list(texts)} for n, texts in known]
        return made

    @property
    def digest(self) -> Digest:
        """The digest of the store's canonical document: which keys were believed, and for what."""
        return digest.of_value(self.to_document())

    def find(self, keyid: str) -> TrustedKey | None:
        """The believed key with an id, revoked or not; None when nobody told us of it."""
        return next((entry for entry in self.keys if entry.key.keyid == keyid), None)


def _entry(item: "TrustKey", *, where: str) -> TrustedKey:
    key = read_public(item["key"], where=where)
    if key.pem != item["key"]:
        raise Refused("E_KEY_FORM", "the PEM text of the key is not the canonical one", where=where)
    revoked = item.get("revoked")
    return TrustedKey(
        name=item["name"],
        key=key,
        roles=frozenset(KeyRole(role) for role in item["roles"]),
        names=tuple(item["names"]),
        revoked=Revocation(on=revoked["on"], reason=revoked["reason"]) if revoked else None,
    )


def _to_item(entry: TrustedKey) -> "TrustKey":
    item: TrustKey = {
        "name": entry.name,
        "key": entry.key.pem,
        "roles": sorted(role.value for role in entry.roles),
        "names": sorted(entry.names),
    }
    if entry.revoked is not None:
        item["revoked"] = {"on": entry.revoked.on, "reason": entry.revoked.reason}
    return item


def _demand_unique(values: Iterable[str], what: str, where: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise Refused(
                "E_TRUST_TWICE", f"two keys have the same {what}", where=where, found=value
            )
        seen.add(value)
