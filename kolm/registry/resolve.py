"""From what a person asked for to the one entry that answers, or the reason why none does."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from kolm.errors import KolmError, Unreadable
from kolm.events import Reporter, Silent
from kolm.registry.backends.backend import Backend
from kolm.registry.entries import SignedEntry
from kolm.registry.history import ACTIVE, YANKED, History, demand_active
from kolm.registry.references import Reference
from kolm.registry.seen import Seen
from kolm.sign.trust import TrustStore


def resolve(
    backend: Backend,
    reference: Reference,
    trust: TrustStore,
    *,
    seen: Seen | None = None,
    reporter: Reporter | None = None,
) -> SignedEntry:
    """The believed entry that a reference means.

    A reference without a name is looked for under every name, and a damaged one hides no other. A
    bare name means its highest active release; pre-releases and yanked versions have to be named.
    Of several entries for one version the last is in force: it has the same bundle and the most
    claims.

    Args:
        backend: the registry.
        reference: what is wanted.
        trust: whose entries count.
        seen: what this reader has seen there before, and will have seen.
        reporter: hears what is wrong with the name but changes no answer.

    Raises:
        Unreadable: nothing here has this name, version or content id, or the reader does not
            know the key that says so.
        Refused: the registry went back, the version was withdrawn, all of the name is damaged, or
            whoever signed is not trusted for it.
    """
    memory = seen or Seen()
    if reference.name is not None:
        names = [reference.name]
    else:
        names = sorted({*backend.names(), *memory.names()})
    answers: list[SignedEntry] = []
    histories: list[History] = []
    refusals: list[KolmError] = []
    for name in names:
        try:
            history = memory.history(backend, name, trust)
            histories.append(history)
            found = history.answer(lambda signed: _fits(signed, reference))
        except KolmError as error:
            refusals.append(error)
            continue
        answers += [found] if found is not None else []
    if answers:
        best = max(
            answers, key=lambda s: (s.entry["state"] == ACTIVE, s.version, s.entry["sequence"])
        )
        demand_active(best)
        _tell(best, histories, reporter or Silent())
        return best
    raise _reason(backend, reference, histories, refusals)


def _fits(signed: SignedEntry, reference: Reference) -> bool:
    if reference.bundle is not None:
        return signed.entry["bundle"] == reference.bundle
    if reference.version is not None:
        return signed.version == reference.version
    return not signed.version.prerelease and signed.entry["state"] == ACTIVE


def _tell(best: SignedEntry, histories: Sequence[History], reporter: Reporter) -> None:
    """Say what a person should know of the name that answers."""
    if best.entry["state"] == YANKED:
        reporter.warned(f"{best.label} was yanked: its publisher advises against it")
    for history in histories:
        if history.name == best.entry["name"]:
            for problem in history.problems:
                reporter.warned(str(problem))


def _reason(
    backend: Backend,
    reference: Reference,
    histories: Sequence[History],
    refusals: Sequence[KolmError],
) -> KolmError:
    """Why nothing answers: a refusal, then an entry that is not believed, then damage."""
    entries = [signed for history in histories for signed in history.entries]
    doubted = [s.objection for s in entries if s.objection and _fits(s, reference)]
    damage = [problem for history in histories for problem in history.problems]
    for reasons in (refusals, doubted[-1:], damage):
        if reasons:
            return reasons[0]
    return _not_found(backend, reference, entries)


def _not_found(
    backend: Backend, reference: Reference, entries: Sequence[SignedEntry]
) -> Unreadable:
    every = f"kolm registry list --registry {backend.where}"
    if reference.name is None:
        hint = every
    elif entries:
        best_first = sorted(entries, key=lambda signed: (signed.counts, signed.version))[::-1]
        labels = dict.fromkeys(f"{reference.name}@{signed.version}" for signed in best_first)
        hint = f"it has {', '.join(list(labels)[:5])}"
    else:
        near = difflib.get_close_matches(reference.name, backend.names(), n=3)
        hint = f"nearest names: {', '.join(near)}" if near else every
    return Unreadable(
        "E_REFERENCE_UNKNOWN",
        "the registry has no bundle of this name, version or id",
        where=backend.where,
        found=str(reference),
        hint=hint,
    )
