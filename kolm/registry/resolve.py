"""From what a person asked for to the one entry that answers, or the reason why none does."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from kolm.errors import KolmError, Unreadable
from kolm.registry.backends.backend import Backend
from kolm.registry.entries import SignedEntry, read_history
from kolm.registry.references import Reference
from kolm.sign.trust import TrustStore


def resolve(backend: Backend, reference: Reference, trust: TrustStore) -> SignedEntry:
    """The believed entry that a reference means.

    A reference without a name is looked for under every name, and a damaged one hides no other. A
    bare name means its highest release; pre-releases have to be named. Of several entries for one
    version the last counts: it has the same bundle and the most claims.

    Raises:
        Unreadable: nothing here has this name, version or content id, or the reader does not
            know the key that says so.
        Refused: the history is damaged, or whoever signed is not trusted for this name.
    """
    names = [reference.name] if reference.name is not None else backend.names()
    fitting: list[SignedEntry] = []
    seen: list[SignedEntry] = []
    damage: list[KolmError] = []
    for name in names:
        try:
            history = read_history(backend.entries(name), name=name, trust=trust)
        except KolmError as error:
            damage.append(error)
            continue
        seen += history
        fitting += [signed for signed in history if _fits(signed, reference)]
    believed = [signed for signed in fitting if signed.counts]
    if believed:
        return max(believed, key=lambda s: (s.version, s.entry.sequence))
    if fitting and fitting[-1].objection is not None:
        raise fitting[-1].objection
    if damage:
        raise damage[0]
    raise _not_found(backend, reference, seen)


def _fits(signed: SignedEntry, reference: Reference) -> bool:
    if reference.bundle is not None:
        return signed.entry.bundle == reference.bundle
    if reference.version is not None:
        return signed.version == reference.version
    return not signed.version.prerelease


def _not_found(
    backend: Backend, reference: Reference, history: Sequence[SignedEntry]
) -> Unreadable:
    if reference.name is None:
        hint = "kolm registry list"
    elif history:
        versions = sorted({signed.version for signed in history}, reverse=True)
        hint = f"it has {', '.join(f'{reference.name}@{v}' for v in versions[:5])}"
    else:
        near = difflib.get_close_matches(reference.name, backend.names(), n=3)
        hint = f"nearest names: {', '.join(near)}" if near else "kolm registry list"
    return Unreadable(
        "E_REFERENCE_UNKNOWN",
        "the registry has nothing by this reference",
        where=backend.where,
        found=str(reference),
        hint=hint,
    )
