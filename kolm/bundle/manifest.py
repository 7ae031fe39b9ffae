"""The bundle: the subject manifest, an OCI image manifest whose digest is the content id.

Belongs here: descriptors of members to manifest bytes and back. A manifest is a pure function of
its members, so reading is: take the members out, build again, compare bytes. Rules M1 to M8 of
docs/format/bundle.md; fields after the OCI image specification 1.1, "image manifest".
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from kolm import canonical, digest, schema
from kolm.bundle import limits
from kolm.bundle.members import REQUIRED, kind_of, position
from kolm.digest import Digest
from kolm.errors import Refused, Unreadable
from kolm.format.names import RECEIPT
from kolm.format.versions import CURRENT, FORMATS
from kolm.records import kinds
from kolm.version import VERSION

if TYPE_CHECKING:
    from kolm.records.documents import ManifestDescriptor, ManifestDescriptorAnnotations


MANIFEST_MEDIA_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
TITLE: Final = "org.opencontainers.image.title"
FILEPATH: Final = "org.cncf.model.filepath"

_VERSIONED = re.compile(r"application/vnd\.kolm\.bundle\.v[0-9]+", re.ASCII)
_TYPE = re.compile(rb'\{"artifactType":"([!#-\[\]-~]*)"')  # the first key of a canonical manifest


class Member(NamedTuple):
    """One member as the manifest describes it."""

    name: str
    digest: Digest
    size: int

    @property
    def media_type(self) -> str:
        """The media type that the table gives to this name."""
        return kind_of(self.name).media_type


class Manifest(NamedTuple):
    """The parsed subject manifest: the version, the receipt, and the layers in their order."""

    artifact_type: str
    receipt: Member
    layers: tuple[Member, ...]

    @property
    def members(self) -> tuple[Member, ...]:
        """The receipt and every layer."""
        return (self.receipt, *self.layers)


def type_of(manifest: bytes | memoryview) -> str:
    """The artifact type that a canonical manifest states; empty for what is none."""
    found = _TYPE.match(manifest)
    return found[1].decode("ascii") if found else ""


def build_manifest(members: Iterable[Member], artifact_type: str = CURRENT) -> bytes:
    """The canonical manifest of a receipt and its layers.

    Raises:
        Refused: ``E_MEMBER_UNKNOWN``, ``E_MEMBER_TWICE``, ``E_MEMBER_MISSING``,
            ``E_MEMBER_EQUAL``, or ``E_CONTAINER_LIMIT`` for too many members.
    """
    ordered = list(members)
    limits.MEMBERS.hold(len(ordered), where="manifest")
    _check_names([member.name for member in ordered])
    _check_contents(ordered)
    receipt = next(member for member in ordered if member.name == RECEIPT)
    layers = sorted((m for m in ordered if m.name != RECEIPT), key=lambda m: position(m.name))
    return canonical.dumps(
        {
            "artifactType": artifact_type,
            "config": _descriptor(receipt),
            "layers": [_descriptor(member) for member in layers],
            "mediaType": MANIFEST_MEDIA_TYPE,
            "schemaVersion": 2,
        }
    )


def _check_names(names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        kind_of(name)
        if name in seen:
            raise Refused("E_MEMBER_TWICE", "the manifest names a member twice", where=name)
        seen.add(name)
    missing = [name for name in (RECEIPT, *REQUIRED) if name not in seen]
    if missing:
        raise Refused("E_MEMBER_MISSING", "a bundle lacks a member", where=missing[0])


def _check_contents(members: list[Member]) -> None:
    """One blob, one name: no two members of a compile are equal, and a small file whose members
    share a blob would cost a reader thousands of times its size.
    """
    names: dict[Digest, str] = {}
    for member in members:
        first = names.setdefault(member.digest, member.name)
        if first != member.name:
            raise Refused(
                "E_MEMBER_EQUAL",
                "two members are the same bytes",
                where=member.name,
                expected=f"other bytes than those of {first}",
                found=member.digest,
            )


def _descriptor(member: Member) -> "ManifestDescriptor":
    media_type = member.media_type
    annotations: ManifestDescriptorAnnotations = {TITLE: member.name}
    if media_type.startswith("application/vnd.cncf.model."):
        annotations[FILEPATH] = member.name  # where ModelPack tools put the file
    return {
        "annotations": annotations,
        "digest": member.digest,
        "mediaType": media_type,
        "size": member.size,
    }


def parse_manifest(data: bytes | memoryview) -> Manifest:
    """Read a subject manifest strictly.

    Raises:
        Unreadable: ``E_NOT_A_BUNDLE`` for another artifact, ``E_BUNDLE_VERSION`` for a kolm
            bundle of a version that this kolm does not know.
        Refused: it is not the canonical manifest of its members.
    """
    value = canonical.loads_canonical(data, where="manifest")
    _check_artifact(value)
    schema.check(kinds.MANIFEST, value, where="manifest")
    receipt, layers = _member(value["config"]), tuple(map(_member, value["layers"]))
    if receipt.name != RECEIPT:
        raise Refused("E_MANIFEST", "the config is not the receipt", where="manifest#/config")
    if build_manifest((receipt, *layers), value["artifactType"]) != bytes(data):
        raise Refused(
            "E_MANIFEST",
            "the manifest differs from the one derived from its members",
            where="manifest",
            expected="the members in table order with the media types of the table",
        )
    return Manifest(artifact_type=value["artifactType"], receipt=receipt, layers=layers)


def _check_artifact(value: object) -> None:
    found = value.get("artifactType") if type(value) is dict else None
    stated = found if isinstance(found, str) else ""
    if stated in FORMATS:
        return
    if _VERSIONED.fullmatch(stated):
        raise Unreadable(
            "E_BUNDLE_VERSION",
            f"the bundle is of a format that this kolm ({VERSION}) does not read",
            where="manifest#/artifactType",
            expected=" or ".join(FORMATS),
            found=stated,
            hint="nothing was judged: read it with the kolm that made it, or a newer one, or "
            "compile it again with this one",
        )
    raise Unreadable(
        "E_NOT_A_BUNDLE",
        "this is an OCI layout, but not a kolm bundle",
        where="manifest#/artifactType",
        expected=" or ".join(FORMATS),
        found=str(found)[:80],
    )


def _member(descriptor: "ManifestDescriptor") -> Member:
    name = descriptor["annotations"][TITLE]
    kind_of(name).limit.hold(descriptor["size"], where=name)
    return Member(
        name=name,
        digest=digest.parse(descriptor["digest"], where=f"manifest#{name}"),
        size=descriptor["size"],
    )
