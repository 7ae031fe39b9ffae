"""The bundle: members and claims written as one file, whole or not at all.

Same members and claims, same bytes: nothing of the machine, the clock or the order of arguments
enters. The writer opens what it wrote with the strict reader before the file gets its name.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from kolm import digest, paths, system
from kolm.bundle import layout, limits
from kolm.bundle.container import write_entry
from kolm.bundle.manifest import Member, build_manifest
from kolm.bundle.members import RECEIPT, kind_of
from kolm.bundle.reader import Bundle
from kolm.bundle.tar import END
from kolm.digest import Digest, Hasher
from kolm.errors import Refused, Usage

Source = bytes | memoryview | Path
_PIECE_BYTES = limits.MIB


def seal(
    target: Path,
    *,
    receipt: bytes,
    members: Mapping[str, Source],
    claims: Sequence[bytes] = (),
    overwrite: bool = False,
) -> Digest:
    """Write a bundle and give its content id.

    Args:
        target: the file to write; replaced atomically.
        receipt: bytes of receipt.json, the manifest's config.
        members: every layer by name; files are streamed.
        claims: Sigstore bundles about this content.
        overwrite: replace a different file at `target`.

    Raises:
        Refused: a member outside the table, missing or above its limit; a claim that is none; a
            file that changed while it was packed.
        Usage: ``E_TARGET_EXISTS``: `target` holds something else and `overwrite` is false.
        KolmError: what the operating system says.
    """
    sources: dict[str, Source] = {RECEIPT: receipt, **members}
    described = [_describe(name, source) for name, source in sources.items()]
    manifest = build_manifest(described)
    ordered = layout.ordered_claims(claims, manifest)
    blobs: dict[Digest, tuple[Source, int]] = {
        member.digest: (sources[member.name], member.size) for member in reversed(described)
    }
    _write(target, manifest, described, blobs, ordered, overwrite=overwrite)
    return digest.of_bytes(manifest)


def add_claims(path: Path, claims: Sequence[bytes], *, content_id: Digest | None = None) -> Digest:
    """Add claims to a bundle in place; the content id stays. A claim that is there stays once.

    Args:
        path: the bundle.
        claims: Sigstore bundles about this content.
        content_id: the bundle that the claims are about: another one at `path` is refused.

    Raises:
        Refused, Unreadable: the file is not an intact bundle or another one, or a claim is none.
    """
    bundle = Bundle.open(path)
    if content_id is not None and bundle.content_id != content_id:
        raise Refused(
            "E_BUNDLE_ANOTHER",
            "the file holds another bundle than the one that the claims are about",
            where=str(path)[:400],
            expected=content_id,
            found=bundle.content_id,
            hint="somebody replaced the file meanwhile: run the command again",
        )
    return write_with_claims(path, bundle, claims)


def write_with_claims(target: Path, bundle: Bundle, claims: Sequence[bytes]) -> Digest:
    """Write an open bundle with more claims; what is at `target` is replaced atomically.

    Raises:
        Refused: a claim is none.
        Denied: ``E_CANNOT_WRITE``.
    """
    ordered = layout.ordered_claims([*bundle.claims, *claims], bundle.manifest_bytes)
    blobs: dict[Digest, tuple[Source, int]] = {
        member.digest: (bundle.member(member.name), member.size) for member in bundle.members
    }
    _write(target, bundle.manifest_bytes, list(bundle.members), blobs, ordered, overwrite=True)
    return bundle.content_id


def _describe(name: str, source: Source) -> Member:
    try:
        limit = kind_of(name).limit
        if isinstance(source, Path):
            limit.hold(source.stat().st_size, where=name)
        hasher = Hasher()
        for piece in _pieces(source):
            hasher.update(piece)
    except OSError as error:
        raise system.error_of(error, where=str(source)) from None
    limit.hold(hasher.size_bytes, where=name)
    return Member(name=name, digest=hasher.digest(), size=hasher.size_bytes)


def _pieces(source: Source) -> Iterator[bytes | memoryview]:
    if not isinstance(source, Path):
        yield source
        return
    with source.open("rb") as stream:
        while piece := stream.read(_PIECE_BYTES):
            yield piece


def _write(
    target: Path,
    manifest: bytes,
    members: list[Member],
    blobs: dict[Digest, tuple[Source, int]],
    claims: Sequence[layout.Claim],
    *,
    overwrite: bool,
) -> None:
    receipt = next(member for member in members if member.name == RECEIPT)
    layers = [(member.size, member.digest) for member in members if member.name != RECEIPT]
    for data in (manifest, *(part for claim in claims for part in (claim.manifest, claim.data))):
        blobs.setdefault(digest.of_bytes(data), (data, len(data)))
    if claims:
        blobs.setdefault(layout.EMPTY_DIGEST, (layout.EMPTY, len(layout.EMPTY)))
    order = layout.blob_order(digest.of_bytes(manifest), receipt.digest, claims, layers)
    names = layout.entry_names(order)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
            written = Path(folder) / target.name
            with written.open("xb") as stream:
                _write_whole(stream, names[0], layout.LAYOUT)
                _write_whole(stream, names[1], layout.index_of(manifest, claims))
                for name, content in zip(names[2:], order, strict=True):
                    source, size = blobs[content]
                    write_entry(stream, name, _pieces(source), size)
                stream.write(END)
                stream.flush()
                os.fsync(stream.fileno())
            _check_written(written, target, overwrite=overwrite)
            written.replace(target)
            paths.sync_folder(target.parent)
    except OSError as error:
        raise system.error_of(error, where=target) from None


def _write_whole(stream: IO[bytes], name: str, data: bytes) -> None:
    write_entry(stream, name, (data,), len(data))


def _check_written(written: Path, target: Path, *, overwrite: bool) -> None:
    """Read the file back strictly, and keep an existing different file unless told otherwise."""
    try:
        Bundle.open(written)
    except Refused as error:
        if error.code != "E_CONTAINER_DIGEST":
            raise
        raise Refused(
            "E_MEMBER_CHANGED",
            "a file changed while it was packed",
            where=error.where,
            expected=error.expected,
            found=error.found,
        ) from error
    if target.exists() and not overwrite and digest.of_file(target) != digest.of_file(written):
        raise Usage(
            "E_TARGET_EXISTS",
            "another file is at the target",
            where=str(target),
            hint="choose another name, or overwrite on purpose",
        )
