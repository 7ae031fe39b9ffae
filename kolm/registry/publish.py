"""Publishing: verify first, then store the file, then point a name and a version to it.

The order makes a kill harmless: a file without an entry is never seen, and an entry appears whole
or not at all, after its file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kolm import digest
from kolm.bundle.held import Held, hold
from kolm.counting import counted
from kolm.digest import Digest
from kolm.errors import Denied, Network, Refused
from kolm.registry.backends.backend import Backend
from kolm.registry.check import Check, Passed
from kolm.registry.entries import SignedEntry, seal_entry
from kolm.registry.history import ACTIVE, History, demand_active, went_back
from kolm.registry.seen import Seen
from kolm.registry.staging import errors_name
from kolm.registry.versions import Version
from kolm.sign.keys import shown
from kolm.sign.private_keys import PrivateKey
from kolm.sign.trust import TrustStore

if TYPE_CHECKING:
    from kolm.records.documents import Entry

# Each lost race means that somebody else's publication succeeded meanwhile.
_MAX_ATTEMPTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A published entry; `new` is False when the very same one was there already."""

    entry: Entry
    digest: Digest
    new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """Whoever publishes: the key that signs, whom they trust, and how they verify bundles."""

    key: PrivateKey
    trust: TrustStore
    check: Check
    seen: Seen = field(default_factory=Seen)

    def publish(
        self,
        backend: Backend,
        source: Path,
        name: str,
        version: Version,
        *,
        beside: Callable[[Held, Passed], Iterable[Held]] = lambda *_: (),
    ) -> Published:
        """Publish a bundle under a name and a version.

        Args:
            backend: the registry.
            source: the bundle's file.
            name: to publish it under.
            version: of the name.
            beside: gives what is kept beside the file, of a bundle that has passed: the states of
                its training. Whatever it raises, nothing is published.

        Raises:
            Denied: the key is not trusted to publish the name, or the place cannot be written.
            Refused: the bundle is not accepted, the version means another bundle already or was
                withdrawn, claims are missing that were published with the bundle before, or
                the registry went back.
            Unreadable: the bundle or the registry cannot be read.
        """
        self._demand_right(name)
        held = hold(source)  # what is verified here is what is kept, whatever becomes of the file
        with errors_name(held, str(source)):
            passed = self.check(held)
        bundle, claims = passed.bundle, passed.claims
        for other in beside(held, passed):
            backend.keep(other)
        kept = False
        for _ in range(_MAX_ATTEMPTS):
            history = self.seen.history(backend, name, self.trust)
            if history.lost:
                raise went_back(history.lost[-1])
            standing = history.in_force().get(version)
            if standing is not None:
                _demand_bundle(standing, bundle)
                demand_active(standing)
                if standing.entry["file"]["digest"] == held.digest:
                    if not kept:
                        backend.keep(held)  # heals a lost or damaged file
                    return Published(entry=standing.entry, digest=standing.digest, new=False)
            state = standing.entry["state"] if standing is not None else ACTIVE
            _demand_claims(history, bundle, claims, f"{name}@{version}")
            if not kept:
                backend.keep(held)
                kept = True
            sequence, previous = history.next_place()
            entry: Entry = {
                "name": name,
                "version": str(version),
                "bundle": bundle,
                "file": {"digest": held.digest, "size": len(held.view)},
                "claims": sorted(claims),
                "previous": previous,
                "sequence": sequence,
                "state": state,
            }
            data = seal_entry(entry, self.key)
            if backend.append(name, sequence, data):
                stored = digest.of_bytes(data)
                self.seen.learn(entry, stored, self.key.public.keyid)
                return Published(entry=entry, digest=stored, new=True)
        raise Network(
            "E_REGISTRY_BUSY",
            "other publishers changed this name at every attempt",
            where=backend.where,
            hint="try again",
        )

    def _demand_right(self, name: str) -> None:
        signer = self.trust.find(self.key.public.keyid)
        if signer is None or not signer.may_publish(name):
            who = shown(self.key.public.keyid, signer and signer.name)
            raise Denied(
                "E_PUBLISH_DENIED",
                f"{who} is not trusted to publish this name",
                where=name,
                hint=f"kolm keys trust FILE --as NAME --role publisher --names '{name}'",
            )


def _demand_claims(history: History, bundle: Digest, claims: frozenset[Digest], where: str) -> None:
    """The claims that are published with a bundle only grow."""
    lost = history.claims(bundle) - claims
    if lost:
        raise Refused(
            "E_CLAIMS_LOST",
            f"{counted(len(lost), 'claim')} "
            "that were published with this bundle before are missing",
            where=where,
            expected=", ".join(sorted(lost)),
            hint=f"kolm pull {history.name}@{bundle}, add your claim to that file, publish it",
        )


def _demand_bundle(standing: SignedEntry, bundle: Digest) -> None:
    """A published version keeps its bundle for ever."""
    if standing.entry["bundle"] != bundle:
        raise Refused(
            "E_VERSION_TAKEN",
            "the version is already published, as another bundle",
            where=standing.label,
            expected=standing.entry["bundle"],
            found=bundle,
            hint="publish under a new version",
        )
