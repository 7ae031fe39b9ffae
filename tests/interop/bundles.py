"""One bundle as it should be, and what somebody without a key made of it, for strangers' tools."""

from __future__ import annotations

import base64
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kolm import canonical, digest
from kolm.bundle.container import open_container
from kolm.sign import private_keys
from kolm.sign.private_keys import PrivateKey
from tests.support.bundles import BundleParts, make_parts, read_entries, write_tar


@dataclass(frozen=True)
class Given:
    """What a stranger is handed: the file, and the key from elsewhere.

    `layout` is the file unpacked by Python's own tar reader; `claims` are the files in it.
    """

    file: Path
    layout: Path
    key: Path
    content: str
    claims: tuple[Path, ...]


def honest(folder: Path) -> tuple[BundleParts, PrivateKey, Given]:
    """A signed bundle, whole."""
    folder.mkdir()
    key = private_keys.generate()
    parts = make_parts(folder / "made")
    return parts, key, _given(parts.seal(folder / "good.kolm", key=key), key)


def repacked(parts: BundleParts, key: PrivateKey, folder: Path) -> Given:
    """Another adapter in a whole container, and the honest claims edited to name it."""
    folder.mkdir()
    other = parts.copy()
    name = min(other.tensors)
    dtype, shape, data = other.tensors[name]
    other.tensors[name] = (dtype, shape, bytes([data[0] ^ 1]) + data[1:])
    claims = [_renamed(claim, other.content_id()) for claim in parts.claims(key)]
    return _given(other.seal(folder / "repacked.kolm", claims=claims), key)


def flipped(given: Given, key: PrivateKey, folder: Path) -> Given:
    """One bit of the largest blob, the adapter's weights, is another."""
    folder.mkdir()
    entries = read_entries(given.file)
    place = max(range(len(entries)), key=lambda number: len(entries[number][1]))
    name, data = entries[place]
    entries[place] = (name, data[:-1] + bytes([data[-1] ^ 1]))
    file = folder / "flipped.kolm"
    write_tar(file, entries)
    return _given(file, key)


def _renamed(claim: bytes, content: str) -> bytes:
    envelope = canonical.loads(claim, where="claim")
    said = canonical.loads(base64.b64decode(envelope["dsseEnvelope"]["payload"]), where="payload")
    said["subject"][0]["digest"]["sha256"] = digest.hex_of(digest.Digest(content))
    payload = base64.b64encode(canonical.dumps(said)).decode()
    envelope["dsseEnvelope"]["payload"] = payload
    return canonical.dumps(envelope)


def _given(file: Path, key: PrivateKey) -> Given:
    layout = file.with_suffix("")
    with tarfile.open(file, mode="r:") as stream:
        for member in stream:
            assert member.isfile()
            target = layout / member.name
            target.parent.mkdir(parents=True, exist_ok=True)
            data = stream.extractfile(member)
            assert data is not None
            target.write_bytes(data.read())
    pem = file.with_suffix(".pem")
    pem.write_text(key.public.pem)
    container = open_container(file)
    return Given(file, layout, pem, str(container.digests[0]), _claims(layout))


def _claims(layout: Path) -> tuple[Path, ...]:
    blobs: Sequence[Path] = sorted((layout / "blobs" / "sha256").iterdir())
    return tuple(blob for blob in blobs if blob.read_bytes().startswith(b'{"dsseEnvelope":'))
