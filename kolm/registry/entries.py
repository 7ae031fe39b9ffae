"""One signed entry: writing it, reading it, and saying whether it counts for this reader.

A wrong form, link or signature is a damaged history and refused. An entry that is in order but
that this reader's trust does not cover is kept as a link of the history and counts for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kolm import digest
from kolm.digest import Digest
from kolm.errors import KolmError, Refused, Unreadable, Usage
from kolm.records.codec import from_document, to_document
from kolm.records.entry import Entry
from kolm.registry.references import parse_name
from kolm.registry.versions import Version, parse_version
from kolm.sign import claims, envelope, predicates
from kolm.sign import statement as statements
from kolm.sign.keys import PrivateKey
from kolm.sign.trust import Role, TrustedKey, TrustStore


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


def seal_entry(entry: Entry, key: PrivateKey) -> bytes:
    """The bytes of an entry, signed."""
    said = statements.statement(entry.bundle, entry.name, predicates.ENTRY, to_document(entry))
    return envelope.seal(said, key)


def read_entry(
    data: bytes, *, name: str, sequence: int, previous: Digest | None, trust: TrustStore
) -> SignedEntry:
    """Read one stored entry at its place in the history of a name.

    Raises:
        Refused: it is malformed, misplaced, names another predecessor, or carries a signature
            that the key it names did not make.
    """
    where = f"{name} entry {sequence}"
    sealed = envelope.open_envelope(data, where=where)
    signer = trust.find(sealed.keyid)
    if signer is not None:
        envelope.demand_signature(sealed, signer.key, where=where)
    said = statements.parse(sealed.payload, where=where)
    entry = _entry_of(said, where)
    _demand_place(entry, name=name, sequence=sequence, previous=previous, where=where)
    return SignedEntry(
        entry=entry,
        version=_version_of(entry, where),
        digest=digest.of_bytes(data),
        keyid=sealed.keyid,
        signer=signer,
        objection=_objection(sealed, name, trust, where),
    )


def read_history(stored: Sequence[bytes], *, name: str, trust: TrustStore) -> list[SignedEntry]:
    """Read all entries of a name, first to last.

    Raises:
        Refused: as `read_entry`, or a version that was moved to another bundle.
    """
    history: list[SignedEntry] = []
    previous: Digest | None = None
    for sequence, data in enumerate(stored, start=1):
        signed = read_entry(data, name=name, sequence=sequence, previous=previous, trust=trust)
        history.append(signed)
        previous = signed.digest
    for defect in moved_versions(history):
        raise defect
    return history


def moved_versions(history: Sequence[SignedEntry]) -> list[Refused]:
    """A defect for each believed entry that points a published version to another bundle."""
    bundles: dict[Version, SignedEntry] = {}
    defects: list[Refused] = []
    for signed in history:
        if not signed.counts:
            continue
        first = bundles.setdefault(signed.version, signed)
        if first.entry.bundle != signed.entry.bundle:
            defects.append(
                Refused(
                    "E_ENTRY_VERSION_MOVED",
                    f"version {signed.version} was published and then pointed to another bundle",
                    where=f"{signed.entry.name} entry {signed.entry.sequence}",
                    expected=f"{first.entry.bundle} (entry {first.entry.sequence})",
                    found=signed.entry.bundle,
                )
            )
    return defects


def _entry_of(said: statements.Statement, where: str) -> Entry:
    if said.predicate_type != predicates.ENTRY:
        raise Refused(
            "E_ENTRY_KIND",
            "a claim of another kind stands where an entry should be",
            where=where,
            expected=predicates.ENTRY,
            found=said.predicate_type,
        )
    entry = from_document(Entry, said.predicate)
    if said.subject != entry.bundle or said.name != entry.name:
        raise Refused(
            "E_ENTRY_SUBJECT",
            "the entry is about one bundle and points to another",
            where=where,
            expected=f"{entry.name} {entry.bundle}",
            found=f"{said.name} {said.subject}",
        )
    return entry


def _version_of(entry: Entry, where: str) -> Version:
    try:
        parse_name(entry.name)
        return parse_version(entry.version)
    except Usage as error:
        # In a stored entry this is wrong data, not a wrong call.
        raise Refused(
            "E_ENTRY_VERSION",
            error.message,
            where=where,
            expected=error.expected,
            found=error.found,
        ) from None


def _demand_place(
    entry: Entry, *, name: str, sequence: int, previous: Digest | None, where: str
) -> None:
    if (entry.name, entry.sequence) != (name, sequence):
        raise Refused(
            "E_ENTRY_PLACE",
            "the entry stands in another place than it says",
            where=where,
            expected=f"{name} entry {sequence}",
            found=f"{entry.name} entry {entry.sequence}",
        )
    if entry.previous != previous:
        raise Refused(
            "E_ENTRY_CHAIN",
            "the entry does not follow the one before it",
            where=where,
            expected=str(previous),
            found=str(entry.previous),
            hint="an entry was removed, replaced or altered",
        )


def _roles_with_publisher(signer: TrustedKey) -> str:
    """Options that keep the roles that a key has: trusting it again replaces them."""
    return " ".join(f"--role {role}" for role in sorted({*signer.roles, Role.PUBLISHER}))


def _objection(
    sealed: envelope.Envelope, name: str, trust: TrustStore, where: str
) -> KolmError | None:
    try:
        signer = claims.find_signer(sealed, trust, where=where)
    except (Refused, Unreadable) as error:
        return error
    if signer.may_publish(name):
        return None
    return Refused(
        "E_PUBLISHER",
        f"the key {signer.name} is not trusted to publish this name",
        where=where,
        expected=f"the role publisher and a name rule that covers {name}",
        found=f"roles {', '.join(sorted(signer.roles))}; names {', '.join(signer.names) or 'none'}",
        hint=f"kolm keys trust FILE --as {signer.name} {_roles_with_publisher(signer)} "
        f"--names '{name}'",
    )
