"""The history of one name: which entries are believed, which are in force, and what is wrong.

One bad entry blocks nothing: each believed entry stands by its own signature, and what was
removed, replaced or put between is a finding. Only what would change the answer is refused: see
`answer`. Rules: docs/format/entry.md, docs/format/registry.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, replace

from kolm.counting import counted
from kolm.digest import Digest
from kolm.errors import KolmError, Refused, Unreadable
from kolm.registry.backends.backend import StoredEntries
from kolm.registry.entries import SignedEntry, read_entry
from kolm.registry.versions import Version
from kolm.sign.trust import TrustStore

ACTIVE, YANKED, WITHDRAWN = "active", "yanked", "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What a reader makes of the entries of a name.

    Attributes:
        name: the name.
        entries: all that have the form of an entry of this name, first to last.
        lost: believed entries that this reader has seen here before and that are gone.
        problems: what is wrong, strangers' entries aside: gaps, broken links, what is no entry.
        taken: every number that holds something.
    """

    name: str
    entries: tuple[SignedEntry, ...]
    lost: tuple[SignedEntry, ...]
    problems: tuple[KolmError, ...]
    taken: frozenset[int]

    @property
    def believed(self) -> tuple[SignedEntry, ...]:
        """The entries that count, first to last."""
        return tuple(signed for signed in self.entries if signed.counts)

    def in_force(self) -> dict[Version, SignedEntry]:
        """The entry in force of each version that was believed here, now or before.

        It may be a lost one, which `answer` refuses.
        """
        standing: dict[Version, SignedEntry] = {}
        for signed in sorted((*self.lost, *self.believed), key=_place):
            former = standing.get(signed.version)
            if former is None or former.entry["state"] != WITHDRAWN:  # which is for good
                standing[signed.version] = signed
        return standing

    def answer(self, wanted: Callable[[SignedEntry], bool]) -> SignedEntry | None:
        """The entry in force of the highest version that is wanted, or None.

        Raises:
            Refused: that entry was here before and is gone, or its version was withdrawn.
            Unreadable: its state is one that this version of kolm does not know.
        """
        fitting = [signed for signed in self.in_force().values() if wanted(signed)]
        if not fitting:
            return None
        found = max(fitting, key=lambda signed: (signed.version, signed.entry["sequence"]))
        if found in self.lost:
            raise went_back(found)
        return found

    def next_place(self) -> tuple[int, Digest | None]:
        """The number of the next entry, and the digest of the entry before it.

        Strangers' files at higher numbers are passed by: they cannot use the numbers up.
        """
        known = self.believed
        number = known[-1].entry["sequence"] + 1 if known else 1
        while number in self.taken:
            number += 1
        before = [signed for signed in self.entries if signed.entry["sequence"] < number]
        return number, before[-1].digest if before else None

    def claims(self, bundle: Digest) -> frozenset[Digest]:
        """Every claim that was ever published with a bundle under this name."""
        seen = (*self.lost, *self.believed)
        return frozenset(c for s in seen if s.entry["bundle"] == bundle for c in s.entry["claims"])


def read_history(
    stored: StoredEntries,
    *,
    name: str,
    trust: TrustStore,
    seen: Sequence[SignedEntry] = (),
) -> History:
    """Read all entries of a name; what is wrong is found, never raised.

    Args:
        stored: what the registry holds of the name.
        name: the name.
        trust: whose entries count.
        seen: the believed entries that this reader has seen here before.
    """
    problems = [*_gaps(name, sorted({*stored.entries, *stored.taken})), *stored.problems]
    entries: list[SignedEntry] = []
    head: Digest | None = None
    for sequence, data in sorted(stored.entries.items()):
        try:
            signed = read_entry(data, name=name, sequence=sequence, trust=trust)
        except KolmError as error:
            problems.append(error.again())  # with its traceback it would keep the entry
            continue
        if signed.counts and signed.entry["previous"] != head:
            problems.append(_broken_link(signed, head))
        entries.append(signed)
        head = signed.digest
    present = {signed.digest for signed in entries}
    lost = tuple(sorted((old for old in seen if old.digest not in present), key=_place))
    judged = _without_breaches(lost, entries, frozenset(old.digest for old in seen))
    problems += [went_back(old) for old in lost]
    return History(
        name=name,
        entries=tuple(judged),
        lost=lost,
        problems=tuple(problems),
        taken=frozenset({*stored.entries, *stored.taken}),
    )


def _without_breaches(
    lost: Sequence[SignedEntry], entries: Sequence[SignedEntry], seen: Set[Digest]
) -> Iterator[SignedEntry]:
    """The entries; one that breaks what a believed one before it has settled does not count.

    What this reader has `seen` comes before the rest, whatever its number: an entry that somebody
    puts into a gap changes nothing of it.
    """
    bundles: dict[Version, SignedEntry] = {}
    claims: dict[Digest, set[Digest]] = {}
    judged: dict[Digest, SignedEntry] = {}
    for signed in sorted((*lost, *entries), key=lambda one: (one.digest not in seen, _place(one))):
        judged[signed.digest] = signed
        if not signed.counts:
            continue
        first = bundles.get(signed.version, signed)
        dropped = claims.get(signed.entry["bundle"], set()) - set(signed.entry["claims"])
        if first.entry["bundle"] != signed.entry["bundle"]:
            judged[signed.digest] = replace(signed, objection=_moved(first, signed))
        elif dropped:
            judged[signed.digest] = replace(signed, objection=_dropped(signed, dropped))
        else:
            bundles.setdefault(signed.version, signed)
            claims.setdefault(signed.entry["bundle"], set()).update(signed.entry["claims"])
    return (judged[signed.digest] for signed in entries)


def demand_active(signed: SignedEntry) -> None:
    """Demand that the state of an entry lets its bundle be handed out; yanked ones may be.

    Raises:
        Refused: the version was withdrawn.
        Unreadable: the state is one that this version of kolm does not know.
    """
    if signed.entry["state"] == WITHDRAWN:
        raise Refused(
            "E_VERSION_WITHDRAWN",
            "the version was withdrawn by its publisher",
            where=signed.label,
            hint=f"kolm registry list {signed.entry['name']} shows the others",
        )
    if signed.entry["state"] not in (ACTIVE, YANKED):
        raise Unreadable(
            "E_ENTRY_STATE",
            "the version is in a state that this version of kolm does not know",
            where=signed.label,
            expected=f"{ACTIVE}, {YANKED} or {WITHDRAWN}",
            found=signed.entry["state"],
            hint="upgrade kolm",
        )


def went_back(old: SignedEntry) -> Refused:
    """The error of an entry that was here before."""
    return Refused(
        "E_REGISTRY_WENT_BACK",
        "the registry was rolled back: an entry that was seen here before is gone",
        where=f"{old.entry['name']} entry {old.entry['sequence']}",
        expected=f"{old.digest}, for {old.label}",
        hint="ask whoever keeps the registry; kolm help format/registry says how to forget",
    )


def _place(signed: SignedEntry) -> int:
    return signed.entry["sequence"]


def _gaps(name: str, numbers: Sequence[int]) -> Iterator[Refused]:
    for before, after in zip([0, *numbers], numbers, strict=False):
        if after != before + 1:
            last = "" if after == before + 2 else f" to {after - 1:06d}.json"
            yield Refused(
                "E_ENTRY_GAP",
                "an entry is missing in the middle of a history",
                where=name,
                expected=f"{before + 1:06d}.json{last}",
            )


def _broken_link(signed: SignedEntry, head: Digest | None) -> Refused:
    return Refused(
        "E_ENTRY_CHAIN",
        "the entry does not follow the one before it",
        where=f"{signed.entry['name']} entry {signed.entry['sequence']}",
        expected=str(head),
        found=str(signed.entry["previous"]),
        hint="an entry before it was removed, replaced or altered",
    )


def _moved(first: SignedEntry, signed: SignedEntry) -> Refused:
    return Refused(
        "E_ENTRY_VERSION_MOVED",
        f"version {signed.version} was published and then pointed to another bundle",
        where=f"{signed.entry['name']} entry {signed.entry['sequence']}",
        expected=f"{first.entry['bundle']} (entry {first.entry['sequence']})",
        found=signed.entry["bundle"],
    )


def _dropped(signed: SignedEntry, dropped: set[Digest]) -> Refused:
    return Refused(
        "E_CLAIMS_DROPPED",
        f"the entry drops {counted(len(dropped), 'claim')} "
        "that were published with this bundle before",
        where=f"{signed.entry['name']} entry {signed.entry['sequence']}",
        expected=", ".join(sorted(dropped)),
        hint="ask whoever published it why; the entry before it stays in force",
    )
