"""Re-checking a whole registry: every history, every signature, every file, every bundle.

Like the verifier it never stops at the first defect, and "no" beats "could not look".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from kolm.bundle import limits, states
from kolm.bundle.held import PIECE_BYTES
from kolm.digest import Digest, Hasher
from kolm.errors import KolmError, Refused, Usage
from kolm.events import Reporter, Silent
from kolm.registry.backends.backend import Backend
from kolm.registry.check import Check
from kolm.registry.entries import SignedEntry
from kolm.registry.fetching import demand_bundle, fetch
from kolm.registry.seen import Seen
from kolm.sign.trust import TrustStore

if TYPE_CHECKING:
    from kolm.records.answers import RegistryListError, RegistryVerify, RegistryVerifyVerdict


_STAGE = "registry"


@dataclass(slots=True, kw_only=True)
class Audit:
    """What was looked at and what is wrong.

    Attributes:
        names: how many names.
        entries: how many entries were in order.
        bundles: how many files were hashed and verified.
        problems: everything that is wrong or could not be looked at.
        orphans: files that no entry names, left by killed publishers; harmless.
    """

    names: int = 0
    entries: int = 0
    bundles: int = 0
    problems: list[KolmError] = field(default_factory=list)
    orphans: list[Digest] = field(default_factory=list)

    @property
    def verdict(self) -> RegistryVerifyVerdict:
        """``ok``, ``failed`` or ``could_not_look``."""
        if any(isinstance(problem, Refused | Usage) for problem in self.problems):
            return "failed"
        return "could_not_look" if self.problems else "ok"

    def to_document(self) -> RegistryVerify:
        """The plain document of the audit."""
        return {
            "verdict": self.verdict,
            "names": self.names,
            "entries": self.entries,
            "bundles": self.bundles,
            "problems": [cast("RegistryListError", p.to_document()) for p in self.problems],
            "orphans": list(self.orphans),
        }


def audit(
    backend: Backend,
    *,
    trust: TrustStore,
    check: Check,
    seen: Seen | None = None,
    reporter: Reporter | None = None,
) -> Audit:
    """Re-check everything in a registry, and hold it to what this reader has seen there before."""
    tell = reporter or Silent()
    memory = seen or Seen()
    found = Audit(problems=list(backend.strays()))
    believed: list[SignedEntry] = []
    named: set[Digest] = set()
    here = set(backend.names())
    for name in sorted({*here, *memory.names()}):
        found.names += name in here
        try:
            history = memory.history(backend, name, trust)
        except KolmError as error:
            found.problems.append(error)
            continue
        found.entries += len(history.entries)
        found.problems += history.problems
        found.problems += [signed.objection for signed in history.entries if signed.objection]
        named |= {signed.entry["file"]["digest"] for signed in history.entries}
        believed += history.believed
    tell.started(_STAGE, len(believed), "bundles")
    for done, signed in enumerate(believed, start=1):
        _check_file(backend, signed, check, found, named)
        tell.advanced(_STAGE, done, name=signed.label)
    tell.finished(_STAGE, problems=len(found.problems))
    found.orphans = [blob for blob in backend.blobs() if blob not in named]
    return found


def _tensors_of(backend: Backend, state: Digest, where: str, most_bytes: int) -> Digest:
    """The digest of the tensors of a state, once both of its files are right.

    No more is read than they can have, and a piece: a file of any size is made at no cost.
    """
    with backend.blob(state) as stream:
        data = stream.read(limits.JSON_BYTES.value + 1)
    tensors = Digest(states.read_document(state, data, where=where)["tensors"])
    hasher = Hasher()
    with backend.blob(tensors) as stream:
        while hasher.size_bytes <= most_bytes and (piece := stream.read(PIECE_BYTES)):
            hasher.update(piece)
    states.demand(tensors, hasher.digest(), where)
    return tensors


def _check_file(
    backend: Backend, signed: SignedEntry, check: Check, found: Audit, named: set[Digest]
) -> None:
    try:
        passed = demand_bundle(signed, fetch(backend, signed), check)
        for where, state in passed.states:
            named |= {state, _tensors_of(backend, state, where, passed.most_bytes)}
    except KolmError as error:
        found.problems.append(error)
    else:
        found.bundles += 1
