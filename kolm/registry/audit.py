"""Re-checking a whole registry: every history, every signature, every file, every bundle.

Like the verifier it never stops at the first defect, and "no" beats "could not look".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kolm import digest
from kolm.digest import Digest
from kolm.errors import KolmError, Unreadable
from kolm.events import Reporter, Silent
from kolm.registry.backends.backend import Backend
from kolm.registry.check import Check
from kolm.registry.entries import SignedEntry, moved_versions, read_entry
from kolm.registry.fetching import demand_bundle, fetch
from kolm.sign.trust import TrustStore

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
    def verdict(self) -> str:
        """``ok``, ``failed`` or ``could_not_look``."""
        if any(not isinstance(problem, Unreadable) for problem in self.problems):
            return "failed"
        return "could_not_look" if self.problems else "ok"

    def to_document(self) -> dict[str, Any]:
        """The plain document of the audit."""
        return {
            "verdict": self.verdict,
            "names": self.names,
            "entries": self.entries,
            "bundles": self.bundles,
            "problems": [problem.to_document() for problem in self.problems],
            "orphans": list(self.orphans),
        }


def audit(
    backend: Backend, *, trust: TrustStore, check: Check, reporter: Reporter | None = None
) -> Audit:
    """Re-check everything in a registry."""
    tell = reporter or Silent()
    found = Audit()
    believed: list[SignedEntry] = []
    named: set[Digest] = set()
    for name in backend.names():
        found.names += 1
        history = list(_history(backend, name, trust, found.problems))
        found.entries += len(history)
        found.problems += [signed.objection for signed in history if signed.objection]
        found.problems += moved_versions(history)
        named |= {signed.entry.file.digest for signed in history}
        believed += [signed for signed in history if signed.counts]
    tell.started(_STAGE, len(believed), "bundles")
    for done, signed in enumerate(believed, start=1):
        _check_file(backend, signed, check, found)
        tell.advanced(_STAGE, done, name=f"{signed.entry.name}@{signed.version}")
    tell.finished(_STAGE, problems=len(found.problems))
    found.orphans = [blob for blob in backend.blobs() if blob not in named]
    return found


def _history(
    backend: Backend, name: str, trust: TrustStore, problems: list[KolmError]
) -> Iterator[SignedEntry]:
    """The readable entries of a name; what is wrong with the others goes to `problems`."""
    try:
        stored = backend.entries(name)
    except KolmError as error:
        problems.append(error)
        return
    previous: Digest | None = None
    for sequence, data in enumerate(stored, start=1):
        try:
            yield read_entry(data, name=name, sequence=sequence, previous=previous, trust=trust)
        except KolmError as error:
            problems.append(error)
        previous = digest.of_bytes(data)


def _check_file(backend: Backend, signed: SignedEntry, check: Check, found: Audit) -> None:
    try:
        demand_bundle(signed, fetch(backend, signed), check)
    except KolmError as error:
        found.problems.append(error)
    else:
        found.bundles += 1
