"""The bundle: a file opened for reading.

Belongs here: the lookup of blobs by digest. Opening decides only whether this is a bundle at all;
`container_rules.py` judges it.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Final

from kolm import digest
from kolm.bundle import layout, limits, tar
from kolm.bundle.held import Held, digest_of, hold
from kolm.bundle.layout import StoredClaim
from kolm.bundle.manifest import Manifest, parse_manifest
from kolm.digest import Digest
from kolm.errors import Refused, Unreadable

_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})", re.ASCII)
_FIRST_DIGEST = re.compile(rb'"digest":"(sha256:[0-9a-f]{64})"', re.ASCII)
START: Final = layout.LAYOUT_NAME.encode("ascii") + b"\0"
_SUBJECT_PLACE: Final = 2  # after oci-layout and index.json


class Container:
    """The bytes of a bundle file, held in a private copy, and its entries; not yet judged.

    Whoever verifies a bundle and then uses it hands on the same container, so that what is used
    is what was verified, whatever happens to the file meanwhile.
    """

    def __init__(self, held: Held) -> None:
        self.path = held.path
        self.view = held.view
        self.where = held.path.name
        self.walk = tar.walk(self.view)
        self.entries = self.walk.entries
        self._blobs: dict[Digest, tar.TarEntry] = {}
        self._found: dict[tar.TarEntry, Digest] = {}
        for entry in self.entries:
            content = blob_digest(entry)
            if content is not None:
                self._blobs.setdefault(content, entry)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all entries in the order of the file."""
        return tuple(entry.name for entry in self.entries)

    @property
    def digests(self) -> tuple[Digest, ...]:
        """The digests that the blobs' names state, each once, in the order of the file."""
        return tuple(self._blobs)

    def read(self, entry: tar.TarEntry) -> memoryview:
        """The bytes of an entry, in place."""
        return self.view[entry.offset : entry.offset + entry.size]

    def found(self, entry: tar.TarEntry) -> Digest:
        """The digest of the bytes of an entry, which are hashed once."""
        if entry not in self._found:
            self._found[entry] = digest_of(self.read(entry))
        return self._found[entry]

    def file(self, name: str) -> memoryview | None:
        """The bytes of the first entry with this name, or None."""
        for entry in self.entries:
            if entry.name == name:
                return self.read(entry)
        return None

    def blob(self, content: Digest) -> memoryview:
        """The bytes of a blob, in place.

        Raises:
            Refused: ``E_CONTAINER_MISSING``.
        """
        return self.read(self.entry(content))

    def entry(self, content: Digest) -> tar.TarEntry:
        """The first entry that states this digest.

        Raises:
            Refused: ``E_CONTAINER_MISSING``.
        """
        if content not in self._blobs:
            raise Refused("E_CONTAINER_MISSING", "a blob is missing", where=content)
        return self._blobs[content]

    @cached_property
    def subject(self) -> memoryview:
        """The stored bytes of the subject manifest: the third entry.

        Raises:
            Refused: ``E_CONTAINER_ORDER``.
        """
        expected = (layout.LAYOUT_NAME, layout.INDEX_NAME)
        if self.names[:_SUBJECT_PLACE] != expected or len(self.entries) <= _SUBJECT_PLACE:
            raise _out_of_order("the file does not start with oci-layout, index.json, manifest")
        entry = self.entries[_SUBJECT_PLACE]
        named = _FIRST_DIGEST.search(self.read(self.entries[1]))
        if named is None or named[1].decode("ascii") != blob_digest(entry):
            raise _out_of_order("the third entry is not the manifest that index.json names first")
        return self.read(entry)

    @cached_property
    def manifest(self) -> Manifest:
        """The parsed subject manifest.

        Raises:
            Refused: out of order, damaged, or not the canonical manifest of its members.
            Unreadable: another artifact, or a version that this kolm does not know.
        """
        try:
            return parse_manifest(self.subject)
        except Unreadable as error:
            if digest.of_bytes(self.subject) == self.digests[0]:
                raise
            # Damage can make one version look like another; then nothing is known but the damage.
            message = f"the manifest is damaged: {error.message}"
            raise Refused("E_MANIFEST", message, where=error.where) from error

    @cached_property
    def claims(self) -> tuple[tuple[StoredClaim, ...], tuple[Digest, ...]]:
        """The claims among the blobs that the manifest does not name, and what is left over.

        A claim is recognised by being a Sigstore bundle, never by what index.json says. What is
        left over is reachable from nothing.
        """
        known = {member.digest for member in self.manifest.members}
        known.add(digest.of_bytes(self.subject))
        spare = [content for content in self.digests if content not in known]
        claims = []
        for content in spare[: 2 * limits.CLAIMS.value + 2]:
            try:
                claims.append(layout.claim_of(bytes(self.blob(content)), bytes(self.subject)))
            except Refused:  # not a claim: it must then be a claim's manifest or the empty config
                continue
        explained = {claim.digest for claim in claims} | {claim.manifest_digest for claim in claims}
        if claims:
            explained.add(layout.EMPTY_DIGEST)
        ordered = tuple(sorted(claims, key=lambda claim: claim.manifest_digest))
        return ordered, tuple(content for content in spare if content not in explained)


def blob_digest(entry: tar.TarEntry) -> Digest | None:
    """The digest that an entry's name states, or None when it is not a blob."""
    match = _BLOB.fullmatch(entry.name)
    return digest.of_hex(match[1]) if match else None


def _out_of_order(message: str) -> Refused:
    return Refused("E_CONTAINER_ORDER", message, where=layout.INDEX_NAME)


def open_container(path: Path) -> Container:
    """Read a file into a private copy and walk its entries.

    Raises:
        Unreadable: ``E_CANNOT_READ`` (a folder, a device, or it changed while it
            was read) or ``E_NOT_A_BUNDLE`` (empty, or it does not begin like one).
        Refused: ``E_CONTAINER_LIMIT``: larger than any bundle.
        Lacking: ``E_DISK_FULL``: no room for the copy of a large one.
    """
    return Container(hold(path, start=START))
