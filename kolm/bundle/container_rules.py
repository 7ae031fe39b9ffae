"""The bundle: the container rules as functions, one a check: V01 to V05 and V09.

Each takes a mapped container and yields what departs from its rule, or raises what keeps it from
looking; none of them trusts another.
docs/format/container.md says which numbered rule each check holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from kolm import digest
from kolm.bundle import layout, limits
from kolm.bundle.container import Container, blob_digest
from kolm.bundle.limits import MIB
from kolm.errors import KolmError, Refused

_LIMIT: Final = "E_CONTAINER_LIMIT"
_THREADS_PAY_BYTES: Final = 64 * MIB  # below, hashing takes no longer than starting them


def tar_grammar(container: Container) -> Iterator[KolmError]:
    """V01: headers, padding and end blocks are the only ones possible; nothing follows."""
    yield from (defect for defect in container.walk.defects if defect.code != _LIMIT)


def sizes_within_limits(container: Container) -> Iterator[KolmError]:
    """V02: every limit that shows before a document is parsed."""
    yield from (defect for defect in container.walk.defects if defect.code == _LIMIT)
    try:
        limits.BUNDLE_BYTES.hold(len(container.view), where=container.where)
        for name in (layout.LAYOUT_NAME, layout.INDEX_NAME):
            limits.JSON_BYTES.hold(len(container.file(name) or b""), where=name)
        limits.JSON_BYTES.hold(len(container.subject), where="manifest")
        known = {member.digest for member in container.manifest.members}
        spare = [content for content in container.digests if content not in known]
        limits.CLAIMS.hold((len(spare) - 1) // 2, where=layout.INDEX_NAME)
    except KolmError as error:
        if error.code == _LIMIT:  # what else is wrong with the manifest is V04's to say
            yield error


def blobs_match_names(container: Container) -> Iterator[KolmError]:
    """V03: every blob hashes to its name and has the size that its descriptor states."""
    blobs = [(entry, name) for entry in container.entries if (name := blob_digest(entry))]
    if len(container.view) > _THREADS_PAY_BYTES:
        from kolm import file_digests  # most bundles are small

        file_digests.each(container.found, [entry for entry, _ in blobs])
    for entry, stated in blobs:
        found = container.found(entry)
        if found != stated:
            yield Refused(
                "E_CONTAINER_DIGEST",
                "the bytes of a blob do not hash to its name",
                where=entry.name,
                expected=stated,
                found=found,
            )
    yield from _sizes(container)


def _sizes(container: Container) -> Iterator[KolmError]:
    try:
        members = container.manifest.members
    except KolmError:  # V04 reports it; without a manifest there are no descriptors
        return
    present = set(container.digests)
    for member in members:
        if member.digest in present and len(container.blob(member.digest)) != member.size:
            yield Refused(
                "E_CONTAINER_SIZE",
                "a member does not have the size that the manifest states",
                where=member.name,
                expected=f"{member.size} bytes",
                found=f"{len(container.blob(member.digest))} bytes",
            )


def closed_world(container: Container) -> Iterator[KolmError]:
    """V04: exactly the entries that manifest and claims call for, each once, in their order."""
    manifest, (claims, unexplained) = container.manifest, container.claims
    for content in unexplained:
        yield Refused("E_CONTAINER_UNKNOWN", "nothing refers to this blob", where=content)
    order = layout.blob_order(
        digest.of_bytes(container.subject),
        manifest.receipt.digest,
        claims,
        [(member.size, member.digest) for member in manifest.layers],
    )
    expected = layout.entry_names(order)
    found = container.names
    missing = sorted(set(expected) - set(found))
    twice = sorted(name for name, count in Counter(found).items() if count > 1)
    for name in missing:
        yield Refused("E_CONTAINER_MISSING", "an entry is missing", where=name)
    for name in twice:
        yield Refused("E_CONTAINER_TWICE", "the file holds an entry twice", where=name)
    if found != expected and not (missing or twice or unexplained):
        yield Refused("E_CONTAINER_ORDER", "the entries are out of order", where=found[-1])


def layout_is_derived(container: Container) -> Iterator[KolmError]:
    """V05: oci-layout and index.json are byte for byte what manifest and claims make them."""
    if bytes(container.file(layout.LAYOUT_NAME) or b"") != layout.LAYOUT:
        yield _not_derived(layout.LAYOUT_NAME)
    claims, _ = container.claims
    expected = layout.index_of(bytes(container.subject), claims)
    if bytes(container.file(layout.INDEX_NAME) or b"") != expected:
        yield _not_derived(layout.INDEX_NAME)


def _not_derived(name: str) -> Refused:
    message = "the entry differs from the one derived from manifest and claims"
    return Refused("E_CONTAINER_LAYOUT", message, where=name)


def content_id_holds(container: Container) -> Iterator[KolmError]:
    """V09: the content id is the hash of the stored manifest, recomputed."""
    found, stated = digest.of_bytes(container.subject), container.digests[0]
    if found != stated:
        yield Refused(
            "E_CONTENT_ID",
            "the manifest does not hash to the content id that the file states",
            where="manifest",
            expected=stated,
            found=found,
        )
