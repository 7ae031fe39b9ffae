"""The bundle: members and claims written as one file, whole or not at all.

Same members and claims, same bytes: nothing of the machine, the clock or the order of arguments
enters. The writer opens what it wrote with the strict reader before the file gets its name.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from kolm import digest, outputs, system
from kolm.bundle import layout, limits, tar
from kolm.bundle.held import open_regular
from kolm.bundle.manifest import Member, build_manifest
from kolm.bundle.members import kind_of
from kolm.bundle.reader import Bundle
from kolm.digest import Digest, Hasher
from kolm.errors import KolmError, Refused, Unreadable
from kolm.format.names import RECEIPT

Source = bytes | memoryview | Path
_PIECE_BYTES = limits.MIB


def seal(
    target: Path,
    *,
    receipt: bytes,
    members: Mapping[str, Source],
    claims: Sequence[bytes] = (),
    force: bool = False,
    accept: Callable[[Path], None] | None = None,
) -> Digest:
    """Write a bundle and give its content id.

    A bundle of the same content at `target` keeps the claims that it has.

    Args:
        target: the file to write, whole or not at all; devices and pipes are written into.
        receipt: bytes of receipt.json, the manifest's config.
        members: every layer by name; files are streamed.
        claims: Sigstore bundles about this content.
        force: replace whatever is at `target`.
        accept: looks at the whole file before it gets its name, and raises to keep it from that.

    Raises:
        Refused: a member outside the table, missing or above its limit; a claim that is none; a
            file that changed while it was packed.
        Usage: ``E_TARGET_EXISTS``: `target` holds something else and `force` is off.
        KolmError: what the operating system says.
    """
    sources: dict[str, Source] = {RECEIPT: receipt, **members}
    described = [_describe(name, source) for name, source in sources.items()]
    manifest = build_manifest(described)
    content_id = digest.of_bytes(manifest)
    blobs: dict[Digest, tuple[Source, int]] = {
        member.digest: (sources[member.name], member.size) for member in reversed(described)
    }
    with _alone(target):
        kept = None if force else claims_at(target, content_id)
        ordered = _ordered_claims([*(kept or ()), *claims], manifest)
        replaces = force or kept is not None
        _write(target, manifest, described, blobs, ordered, force=replaces, accept=accept)
    return content_id


def add_claims(path: Path, claims: Sequence[bytes], *, content_id: Digest | None = None) -> Digest:
    """Add claims to a bundle in place; the content id stays. A claim that is there stays once.

    Args:
        path: the bundle; a link stays, and what it points to is written.
        claims: Sigstore bundles about this content.
        content_id: the bundle that the claims are about: another one at `path` is refused.

    Raises:
        Refused, Unreadable: the file is not an intact bundle or another one, or a claim is none.
    """
    with _alone(path):
        bundle = Bundle.open(path)
        if content_id is not None and bundle.content_id != content_id:
            raise Refused(
                "E_BUNDLE_ANOTHER",
                "the file holds another bundle than the one that the claims are about",
                where=str(path)[:400],
                expected=content_id,
                found=bundle.content_id,
                hint="the file was replaced in between: run the command again",
            )
        _rewrite(path, bundle, [*bundle.claims, *claims], force=True)
    return bundle.content_id


def write_with_claims(
    target: Path, bundle: Bundle, claims: Sequence[bytes], *, force: bool = False
) -> Digest:
    """Write an open bundle with more claims, by the rules of `seal`.

    Raises:
        Refused: a claim is none.
        Usage: ``E_TARGET_EXISTS``: `target` holds something else and `force` is off.
        KolmError: what the operating system says.
    """
    with _alone(target):
        kept = None if force else claims_at(target, bundle.content_id)
        every = [*bundle.claims, *(kept or ()), *claims]
        _rewrite(target, bundle, every, force=force or kept is not None)
    return bundle.content_id


def _rewrite(target: Path, bundle: Bundle, claims: Iterable[bytes], *, force: bool) -> None:
    """Write an open bundle with these claims."""
    manifest = bundle.manifest_bytes
    blobs: dict[Digest, tuple[Source, int]] = {
        member.digest: (bundle.member(member.name), member.size) for member in bundle.members
    }
    ordered = _ordered_claims(claims, manifest)
    _write(target, manifest, list(bundle.members), blobs, ordered, force=force)


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Let nobody else replace a bundle between reading its claims and replacing it: of two who add
    claims at once, none loses theirs.

    The lock is on the very file, so whoever waited for it looks at the one that is there by then.
    """
    import fcntl  # who only reads bundles needs none

    while target.is_file():
        try:
            handle = open_regular(target)
        except KolmError:  # whoever cannot read it keeps no claims of it
            break
        try:
            with contextlib.suppress(OSError):  # a file system without locks: nobody waits there
                fcntl.flock(handle, fcntl.LOCK_EX)
            with system.naming(target):
                here = target.is_file() and os.path.samestat(os.fstat(handle), target.stat())
            if here:
                yield
                return
        finally:
            os.close(handle)
    yield


def claims_at(target: Path, content_id: Digest) -> tuple[bytes, ...] | None:
    """The claims of a bundle of this content that is at `target` already; None for anything else.

    Raises:
        KolmError: what the operating system says.
    """
    if not target.is_file():
        return None
    try:
        there = Bundle.open(target)
    except (Refused, Unreadable):
        return None
    return tuple(map(bytes, there.claims)) if there.content_id == content_id else None


def demand_place(target: Path, content_id: Digest, *, force: bool = False) -> None:
    """Refuse a target that `seal` would refuse, before the work begins.

    Raises:
        Usage: ``E_TARGET_EXISTS``.
    """
    if claims_at(target, content_id) is None:
        outputs.demand_free(target, force=force)


def _ordered_claims(claims: Iterable[bytes], subject: bytes) -> tuple[layout.StoredClaim, ...]:
    """The claims of a file: each once, in the order of their manifests' digests.

    Raises:
        Refused: ``E_CLAIM_FORM``, or ``E_CONTAINER_LIMIT`` for too many claims.
    """
    by_manifest = {}
    for data in claims:
        claim = layout.claim_of(data, subject)
        by_manifest[claim.manifest_digest] = claim
    limits.CLAIMS.hold(len(by_manifest), where=layout.INDEX_NAME)
    return tuple(by_manifest[key] for key in sorted(by_manifest))


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
    claims: Sequence[layout.StoredClaim],
    *,
    force: bool,
    accept: Callable[[Path], None] | None = None,
) -> None:
    receipt = next(member for member in members if member.name == RECEIPT)
    layers = [(member.size, member.digest) for member in members if member.name != RECEIPT]
    for data in (manifest, *(part for claim in claims for part in (claim.manifest, claim.data))):
        blobs.setdefault(digest.of_bytes(data), (data, len(data)))
    if claims:
        blobs.setdefault(layout.EMPTY_DIGEST, (layout.EMPTY, len(layout.EMPTY)))
    order = layout.blob_order(digest.of_bytes(manifest), receipt.digest, claims, layers)
    names = layout.entry_names(order)
    with outputs.beside(target) as folder:
        made = folder / target.name
        with made.open("xb") as stream:
            _write_whole(stream, names[0], layout.LAYOUT)
            _write_whole(stream, names[1], layout.index_of(manifest, claims))
            for name, content in zip(names[2:], order, strict=True):
                source, size = blobs[content]
                _write_entry(stream, name, _pieces(source), size)
            stream.write(tar.END)
            stream.flush()
            os.fsync(stream.fileno())
        _demand_intact(made)
        if accept is not None:
            accept(made)
        outputs.place(made, target, force=force)


def _write_entry(
    stream: IO[bytes], name: str, pieces: Iterable[bytes | memoryview], size: int
) -> None:
    """Write one entry: header, bytes, padding.

    Raises:
        Refused: ``E_MEMBER_CHANGED`` when the pieces are not `size` bytes long: the file changed
            since it was measured.
    """
    stream.write(tar.header(name, size))
    written = 0
    for piece in pieces:
        stream.write(piece)
        written += len(piece)
    if written != size:
        raise Refused(
            "E_MEMBER_CHANGED",
            "a file changed while it was packed",
            where=name,
            expected=f"{size} bytes",
            found=f"{written} bytes",
        )
    stream.write(tar.padding(size))


def _write_whole(stream: IO[bytes], name: str, data: bytes) -> None:
    _write_entry(stream, name, (data,), len(data))


def _demand_intact(made: Path) -> None:
    """Read the file back strictly."""
    try:
        Bundle.open(made)
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
