"""The bundle: a file opened strictly, for everything that uses a bundle rather than judging it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from kolm import canonical, digest, paths, system
from kolm.bundle import cid, container_rules
from kolm.bundle.container import Container, open_container
from kolm.bundle.documents import Documents
from kolm.bundle.manifest import Member
from kolm.errors import Usage
from kolm.format.names import RECEIPT, Name

if TYPE_CHECKING:
    from kolm.records.documents import Manifest, Receipt


D = TypeVar("D")
_STRICT_RULES = (
    container_rules.tar_grammar,
    container_rules.sizes_within_limits,
    container_rules.blobs_match_names,
    container_rules.closed_world,
    container_rules.layout_is_derived,
    container_rules.content_id_holds,
)


class Bundle:
    """An intact bundle: every byte belongs to its content id or to a claim.

    Intact says nothing about truth: what the documents say and who signed is the verifier's.
    Member bytes are views into the container's private copy of the file.
    """

    def __init__(self, container: Container, documents: Documents) -> None:
        self.container = container
        self._documents = documents

    @classmethod
    def open(cls, path: Path) -> Bundle:
        """Open a bundle and hold it to V01 to V05 and V09.

        Raises:
            Unreadable: missing, not a bundle, or of an unknown version.
            Refused: the first departure from the container rules.
        """
        return cls.of(open_container(path))

    @classmethod
    def of(cls, container: Container) -> Bundle:
        """Hold an open container to V01 to V05 and V09.

        Raises:
            Refused: the first departure from the container rules.
        """
        _ = container.manifest  # says "not a bundle" before a rule says "order"
        for rule in _STRICT_RULES:
            for defect in rule(container):
                defect.hint = defect.hint or "kolm verify FILE shows what is wrong with it"
                raise defect
        return cls(container, Documents.of(container))

    @cached_property
    def content_id(self) -> digest.Digest:
        """The content id: hash of the stored manifest."""
        return digest.of_bytes(self.container.subject)

    @property
    def cid(self) -> str:
        """The content id as a CID."""
        return cid.cid_of(self.content_id)

    @cached_property
    def manifest_bytes(self) -> bytes:
        """The stored bytes of the subject manifest."""
        return bytes(self.container.subject)

    @cached_property
    def manifest(self) -> Manifest:
        """The subject manifest as a document."""
        value: Manifest = canonical.loads(self.manifest_bytes, where="manifest")
        return value

    @property
    def members(self) -> tuple[Member, ...]:
        """Name, digest and size of every member: the receipt, then the layers."""
        return self.container.manifest.members

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all members."""
        return tuple(member.name for member in self.members)

    @property
    def receipt(self) -> Receipt:
        """The receipt as a document."""
        return self.document(RECEIPT)

    @property
    def claims(self) -> tuple[bytes, ...]:
        """The Sigstore bundles of the claims, in the order of the file."""
        return tuple(claim.data for claim in self.container.claims[0])

    def member(self, name: str) -> memoryview:
        """The bytes of a member, in place.

        Raises:
            Refused: ``E_MEMBER_MISSING``.
        """
        return self._documents.raw(name)

    def document(self, name: Name[D]) -> D:
        """A JSON member as a value."""
        return self._documents.document(name)

    def rows(self, name: Name[D]) -> Iterator[D]:
        """The rows of a JSON Lines member."""
        return self._documents.rows(name)

    @property
    def documents(self) -> Documents:
        """All members as documents."""
        return self._documents

    def unpack(self, folder: Path) -> None:
        """Write every member into a new or empty folder, whole or not at all.

        Raises:
            Usage: ``E_TARGET_EXISTS``: the folder holds something.
            KolmError: what the operating system says.
        """
        if folder.is_symlink() or (folder.exists() and not _is_empty_folder(folder)):
            raise Usage("E_TARGET_EXISTS", "the target is not an empty folder", where=str(folder))
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(
                prefix=f".{folder.name}.", dir=folder.parent, ignore_cleanup_errors=True
            ) as name:
                staging = Path(name) / "members"
                staging.mkdir(mode=0o755)
                for member in self.members:
                    _write_new(staging / member.name, self.member(member.name))
                paths.sync_folder(staging)
                staging.replace(folder)
                paths.sync_folder(folder.parent)
        except OSError as error:
            raise system.error_of(error, where=folder) from None


def _is_empty_folder(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _write_new(path: Path, data: memoryview) -> None:
    # Names come from the closed table of members; O_EXCL and O_NOFOLLOW hold even if one did not.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o644), "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
