"""One signed entry: writing it, reading it, and saying whether it counts for this reader.

What has not the form of an entry of its place is refused. What has it, but is not by a key that
this reader trusts for the name, is a link of the history and counts for nothing. What several
entries are together is in `history.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kolm import digest
from kolm.digest import Digest
from kolm.errors import KolmError, Refused, Unreadable, Usage
from kolm.registry.references import parse_name
from kolm.registry.versions import Version, parse_version
from kolm.sign import claims, envelope, making, predicates
from kolm.sign import statement as statements
from kolm.sign.keys import shown
from kolm.sign.private_keys import PrivateKey
from kolm.sign.trust import KeyRole, TrustedKey, TrustStore

if TYPE_CHECKING:
    from kolm.records.documents import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedEntry:
    """An entry as it is stored, and what this reader's trust makes of it.

    Attributes:
        entry: what is said.
        version: the parsed version.
        digest: digest of the stored bytes, which the next entry names.
        keyid: the key that the envelope names.
        signer: the trusted key, when the reader knows it.
        objection: why the entry counts for nothing here, or None when it counts.
    """

    entry: Entry
    version: Version
    digest: Digest
    keyid: str
    signer: TrustedKey | None
    objection: KolmError | None

    @property
    def counts(self) -> bool:
        """Whether this reader believes the entry."""
        return self.objection is None

    @property
    def label(self) -> str:
        """The name and version that it speaks of."""
        return f"{self.entry['name']}@{self.version}"


def seal_entry(entry: Entry, key: PrivateKey) -> bytes:
    """The bytes of an entry, signed."""
    said = making.statement(entry["bundle"], entry["name"], predicates.ENTRY, entry)
    return making.seal(said, key)


def read_entry(data: bytes, *, name: str, sequence: int, trust: TrustStore) -> SignedEntry:
    """Read one stored entry at its place in the history of a name.

    Raises:
        Refused: it is malformed, or it is an entry of another place.
    """
    where = f"{name} entry {sequence}"
    sealed = envelope.open_envelope(data, where=where)
    said = statements.parse(sealed.payload, where=where)
    entry = _entry_of(said, where)
    _demand_place(entry, name=name, sequence=sequence, where=where)
    return SignedEntry(
        entry=entry,
        version=_version_of(entry, where),
        digest=digest.of_bytes(data),
        keyid=sealed.keyid,
        signer=trust.find(sealed.keyid),
        objection=_objection(sealed, name, trust, where),
    )


def _entry_of(said: statements.Statement, where: str) -> Entry:
    entry = said.of(predicates.ENTRY)
    if entry is None:
        raise Refused(
            "E_ENTRY_KIND",
            "there is a claim of another kind where an entry should be",
            where=where,
            expected=predicates.ENTRY,
            found=said.predicate_type,
        )
    if said.subject != entry["bundle"] or said.name != entry["name"]:
        raise Refused(
            "E_ENTRY_SUBJECT",
            "the entry is about one bundle and points to another",
            where=where,
            expected=f"{entry['name']} {entry['bundle']}",
            found=f"{said.name} {said.subject}",
        )
    return entry


def _version_of(entry: Entry, where: str) -> Version:
    try:
        parse_name(entry["name"])
        return parse_version(entry["version"])
    except Usage as error:
        # In a stored entry this is wrong data, not a wrong call.
        raise Refused(
            "E_ENTRY_VERSION",
            error.message,
            where=where,
            expected=error.expected,
            found=error.found,
        ) from None


def _demand_place(entry: Entry, *, name: str, sequence: int, where: str) -> None:
    if (entry["name"], entry["sequence"]) != (name, sequence):
        raise Refused(
            "E_ENTRY_PLACE",
            "the entry is filed under another name or number than it states",
            where=where,
            expected=f"{name} entry {sequence}",
            found=f"{entry['name']} entry {entry['sequence']}",
        )


def _roles_with_publisher(signer: TrustedKey) -> str:
    """Options that keep the roles that a key has: trusting it again replaces them."""
    return " ".join(f"--role {role}" for role in sorted({*signer.roles, KeyRole.PUBLISHER}))


def _objection(
    sealed: envelope.Envelope, name: str, trust: TrustStore, where: str
) -> KolmError | None:
    try:
        signer = claims.find_signer(sealed, trust, where=where)
        envelope.demand_signature(sealed, signer.key, where=where)
    except (Refused, Unreadable) as error:
        return error
    if signer.may_publish(name):
        return None
    return Refused(
        "E_PUBLISHER",
        f"{shown(signer.key.keyid, signer.name)} is not trusted to publish this name",
        where=where,
        expected=f"the role publisher and a name rule that covers {name}",
        found=f"roles {', '.join(sorted(signer.roles))}; names {', '.join(signer.names) or 'none'}",
        hint=f"kolm keys trust FILE --as {signer.name} {_roles_with_publisher(signer)} "
        f"--names '{name}'",
    )
