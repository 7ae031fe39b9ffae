"""Looking around in a registry: names, versions and one bundle's records, without running anything.

Entries decide what is listed; a bundle's own words are read for what is shown. A damaged name is
shown with what is left of it, and hides no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, cast

from kolm.bundle import cid
from kolm.bundle.reader import Bundle
from kolm.bundle.streams import container_of
from kolm.errors import KolmError
from kolm.format.names import EVALUATION
from kolm.registry.backends.backend import Backend
from kolm.registry.entries import SignedEntry
from kolm.registry.fetching import another_bundle, fetch
from kolm.registry.seen import Seen
from kolm.sign import claims, predicates
from kolm.sign.trust import KeyRole, TrustStore

if TYPE_CHECKING:
    from kolm.records.answers import (
        RegistryListEntry,
        RegistryListEntrySummary,
        RegistryListError,
        RegistryListListing,
        RegistryShowKscore,
    )
    from kolm.records.documents import Evaluation, Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One name of a registry.

    Attributes:
        name: the name.
        versions: the entry in force of each believed version, the highest first, then the last
            entry of each version that only others speak of.
        problems: what is wrong with the name.
    """

    name: str
    versions: tuple[SignedEntry, ...]
    problems: tuple[KolmError, ...] = ()


def browse(
    backend: Backend,
    trust: TrustStore,
    *,
    words: tuple[str, ...] = (),
    seen: Seen | None = None,
) -> list[Listing]:
    """Every name that contains all words, with its versions."""
    wanted = [word.lower() for word in words]
    memory = seen or Seen()
    listings = [
        _listing(backend, name, trust, memory)
        for name in sorted({*backend.names(), *memory.names()})
        if all(word in name for word in wanted)
    ]
    return [listing for listing in listings if listing.versions or listing.problems]


def _listing(backend: Backend, name: str, trust: TrustStore, memory: Seen) -> Listing:
    try:
        history = memory.history(backend, name, trust)
    except KolmError as error:
        return Listing(name=name, versions=(), problems=(error,))
    believed = {v: s for v, s in history.in_force().items() if s not in history.lost}
    others = {s.version: s for s in history.entries if s.version not in believed}
    ordered = [
        signed
        for group in (believed, others)
        for _, signed in sorted(group.items(), key=lambda item: item[0], reverse=True)
    ]
    return Listing(name=name, versions=tuple(ordered), problems=history.problems)


class Shown(TypedDict):
    """What an entry and its bundle say."""

    entry: RegistryListEntry
    receipt: Receipt
    evaluation: Evaluation | None
    kscores: list[RegistryShowKscore]
    claims_not_believed: int


def listing_to_document(listing: Listing) -> RegistryListListing:
    """The plain document of one name."""
    return {
        "name": listing.name,
        "problems": [cast("RegistryListError", p.to_document()) for p in listing.problems],
        "versions": [entry_to_document(signed) for signed in listing.versions],
    }


def entry_to_document(signed: SignedEntry) -> RegistryListEntry:
    """The plain document of one entry and what this reader makes of it."""
    document = cast(
        "RegistryListEntry",
        {
            **signed.entry,
            "cid": cid.cid_of(signed.entry["bundle"]),
            "counts": signed.counts,
            "key": signed.keyid,
        },
    )
    if signed.signer is not None:
        document["signer"] = signed.signer.name
    if signed.objection is not None:
        document["objection"] = cast("RegistryListError", signed.objection.to_document())
    return document


def describe(backend: Backend, signed: SignedEntry, trust: TrustStore) -> Shown:
    """What the bundle of an entry says: its receipt, its evaluation and its K-scores.

    Raises:
        Unreadable, Refused: the file is missing, not an intact bundle, or another bundle.
    """
    bundle = Bundle.of(container_of(fetch(backend, signed)))
    if bundle.content_id != signed.entry["bundle"]:
        raise another_bundle(signed, bundle.content_id)
    scores, doubted = _kscores(bundle, trust)
    return {
        "entry": entry_to_document(signed),
        "receipt": bundle.receipt,
        "evaluation": bundle.document(EVALUATION) if EVALUATION in bundle.names else None,
        "kscores": scores,
        "claims_not_believed": doubted,
    }


def summarise(backend: Backend, signed: SignedEntry, trust: TrustStore) -> RegistryListEntrySummary:
    """What a list shows of a bundle: its base, its accuracy, and the newest K-score of its own
    cases by a trusted evaluator with the time that it states; empty where the file cannot be read,
    which `kolm registry verify` explains.
    """
    try:
        found = describe(backend, signed, trust)
    except KolmError:
        return {}
    summary: RegistryListEntrySummary = {"base": found["receipt"]["base"]["id"]}
    if found["evaluation"] is not None:
        summary["accuracy"] = found["evaluation"]["adapter"]["accuracy"]
    own = [
        score["kscore"]
        for score in found["kscores"]
        if score["kscore"]["pack"]["owner"] == "publisher"
    ]
    if own:
        newest = max(own, key=lambda score: score["measured_on"])
        summary["k"], summary["measured_on"] = newest["composite"], newest["measured_on"]
    return summary


def _kscores(bundle: Bundle, trust: TrustStore) -> tuple[list[RegistryShowKscore], int]:
    """The K-scores that keys trusted as evaluators signed about this very bundle, and the number
    of claims that are not believed here; `kolm verify` says whose they are and why.
    """
    believed: list[RegistryShowKscore] = []
    doubted = 0
    for data in bundle.claims:
        try:
            claim = claims.authenticate(data, trust)
        except KolmError:
            doubted += 1
            continue
        said = claim.statement
        if said.subject != bundle.content_id or not claim.signer.allows(KeyRole.EVALUATOR):
            doubted += said.predicate_type == predicates.KSCORE
        elif score := said.of(predicates.KSCORE):
            own = claim.signer
            believed.append({"key": own.key.keyid, "signer": own.name, "kscore": score})
    return believed, doubted
