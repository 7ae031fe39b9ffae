"""Publishing: verify first, then store the file, then point a name and a version to it.

The order makes a kill harmless: a file without an entry is never seen, and an entry appears whole
or not at all, after its file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kolm import digest
from kolm.bundle.held import Held, hold
from kolm.digest import Digest
from kolm.errors import Denied, Network, Refused
from kolm.records.entry import Entry, FileReference
from kolm.registry.backends.backend import Backend
from kolm.registry.check import Check, ReadClaims, claims_of
from kolm.registry.entries import SignedEntry, read_history, seal_entry
from kolm.registry.fetching import fetch
from kolm.registry.staging import errors_name
from kolm.registry.versions import Version
from kolm.sign.keys import PrivateKey
from kolm.sign.trust import TrustStore

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
    read_claims: ReadClaims = claims_of

    def publish(self, backend: Backend, source: Path, name: str, version: Version) -> Published:
        """Publish a bundle under a name and a version.

        Raises:
            Denied: the key is not trusted to publish the name, or the place cannot be written.
            Refused: the bundle does not verify, or the version means another bundle already.
            Unreadable: the bundle or the registry cannot be read.
        """
        self._demand_right(name)
        held = hold(source)  # what is verified here is what is kept, whatever becomes of the file
        with errors_name(held, str(source)):
            bundle = self.check(held)
            claims = self.read_claims(held)
        kept = False
        for _ in range(_MAX_ATTEMPTS):
            history = read_history(backend.entries(name), name=name, trust=self.trust)
            standing = find_version(history, version)
            if standing is not None:
                _demand_bundle(standing, bundle)
                if standing.entry.file.digest == held.digest:
                    if not kept:
                        backend.keep(held)  # heals a lost or damaged file
                    return Published(entry=standing.entry, digest=standing.digest, new=False)
                self._demand_claims(backend, standing, claims)
            if not kept:
                backend.keep(held)
                kept = True
            entry = _next_entry(history, name, version, bundle, held)
            data = seal_entry(entry, self.key)
            if backend.append(name, entry.sequence, data):
                return Published(entry=entry, digest=digest.of_bytes(data), new=True)
        raise Network(
            "E_REGISTRY_BUSY",
            "others published to this name all the time",
            where=backend.where,
            hint="try again",
        )

    def _demand_right(self, name: str) -> None:
        signer = self.trust.find(self.key.public.keyid)
        if signer is None or not signer.may_publish(name):
            who = signer.name if signer else f"key {self.key.public.keyid[:16]}"
            raise Denied(
                "E_PUBLISH_DENIED",
                f"{who} is not trusted to publish this name",
                where=name,
                hint=f"kolm keys trust FILE --as NAME --role publisher --names '{name}'",
            )

    def _demand_claims(
        self, backend: Backend, standing: SignedEntry, claims: frozenset[Digest]
    ) -> None:
        """The claims of a published version only grow."""
        lost = self.read_claims(fetch(backend, standing)) - claims
        if lost:
            raise Refused(
                "E_CLAIMS_LOST",
                f"the published file carries {len(lost)} claims that this one lacks",
                where=_label(standing),
                expected=", ".join(sorted(lost)),
                hint=f"kolm pull {_label(standing)}, add your claim to that file, then publish it",
            )


def _demand_bundle(standing: SignedEntry, bundle: Digest) -> None:
    """A published version keeps its bundle for ever."""
    if standing.entry.bundle != bundle:
        raise Refused(
            "E_VERSION_TAKEN",
            "the version is published and means another bundle",
            where=_label(standing),
            expected=standing.entry.bundle,
            found=bundle,
            hint="publish under a new version",
        )


def _label(signed: SignedEntry) -> str:
    return f"{signed.entry.name}@{signed.version}"


def find_version(history: list[SignedEntry], version: Version) -> SignedEntry | None:
    """The last entry of a version that counts."""
    fitting = [signed for signed in history if signed.counts and signed.version == version]
    return fitting[-1] if fitting else None


def _next_entry(
    history: list[SignedEntry], name: str, version: Version, bundle: Digest, held: Held
) -> Entry:
    return Entry(
        name=name,
        version=str(version),
        bundle=bundle,
        file=FileReference(digest=held.digest, size=len(held.view)),
        previous=history[-1].digest if history else None,
        sequence=len(history) + 1,
        state="active",
    )
