"""Encode: recordings of images kept on disk between runs, under a budget.

One file an image, named after a key over everything that its bits depend on: the recording as
safetensors, then its SHA-256. A file is replaced whole and checked whenever it is read, so one that
is damaged, cut by a power failure or stale is made again. What was used longest ago makes room;
what does not fit is not kept.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from kolm import digest, system
from kolm.bundle import tensors as safetensors
from kolm.digest import Digest, Hasher
from kolm.models.taps import Recording, is_stand_in, stand_in

_SUFFIX: Final = ".features"
_TRAILER_BYTES: Final = 32  # the SHA-256 of what stands before it
SPARE_BYTES: Final = 1 << 30  # of the disk, for checkpoints: recordings never fill it
_READ_BYTES: Final = 1 << 20
_SAVES_BETWEEN_LISTINGS: Final = 1024
_DTYPES: Final = {
    "BF16": "bfloat16", "BOOL": "bool", "F16": "float16", "F32": "float32", "I32": "int32",
    "I64": "int64", "U8": "uint8",
}  # fmt: skip
# Before the names of tensors: what the model takes, the same of which only the shape is kept, and
# what the tower gave, by number.
_INPUT, _SHAPE, _SHAPED, _OUTPUT = "input.", "shape.", "shaped.", "output."


class _File(NamedTuple):
    """What is known of a kept file."""

    size_bytes: int
    used: int


_NO_FILE: Final = _File(0, 0)


class KeptFeatures:
    """The kept recordings of one machine.

    The folder is listed when it is first needed and then now and again: there may be many files,
    and other runs keep theirs there too.

    Args:
        folder: where they lie.
        budget_bytes: the most that they may take in all.
    """

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self._folder = folder
        self._budget_bytes = budget_bytes
        self._used: set[str] = set()  # by this run: these do not make room for one another
        self._own_bytes = 0
        self._files: dict[str, _File] = {}
        self._total_bytes = 0
        self._saves_until_listed = 0

    def has_room(self, size_bytes: int) -> bool:
        """Whether a recording of this size would be kept, now."""
        needed = size_bytes + _TRAILER_BYTES
        if self._own_bytes + needed > self._budget_bytes:
            return False
        self._folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self._folder).free - needed >= SPARE_BYTES

    def load(self, key: Digest, pictures: int) -> Recording | None:
        """The recording of an image, mapped; None where it is not there whole.

        Args:
            key: of the image.
            pictures: of the recording.
        """
        path = self._path(key)
        size_bytes = _whole(path)
        if size_bytes is None:
            return None
        os.utime(path)  # used now
        self._use(path.name, size_bytes + _TRAILER_BYTES)
        return _decode(path, size_bytes, pictures)

    def save(self, key: Digest, recording: Recording) -> bool:
        """Keep the recording of an image, if the budget has room; says whether it had."""
        data = _encode(recording)
        if not self.has_room(len(data)):
            return False
        size_bytes = len(data) + _TRAILER_BYTES
        self._make_room(size_bytes)
        path = self._path(key)
        with system.naming(path):
            _replace(path, data + digest.raw_of_bytes(data))
        self._total_bytes += size_bytes - self._files.get(path.name, _NO_FILE).size_bytes
        self._files[path.name] = _File(size_bytes, 0)  # of this run: nobody asks for its age
        self._use(path.name, size_bytes)
        return True

    def _use(self, name: str, size_bytes: int) -> None:
        if name not in self._used:
            self._used.add(name)
            self._own_bytes += size_bytes

    def _make_room(self, size_bytes: int) -> None:
        if not self._saves_until_listed:
            self._files = dict(self._listed())
            self._total_bytes = sum(file.size_bytes for file in self._files.values())
            self._saves_until_listed = _SAVES_BETWEEN_LISTINGS
        self._saves_until_listed -= 1
        if self._total_bytes + size_bytes <= self._budget_bytes:
            return
        for name, file in sorted(self._files.items(), key=lambda item: item[1].used):
            if name in self._used:
                continue
            (self._folder / name).unlink(missing_ok=True)
            del self._files[name]
            self._total_bytes -= file.size_bytes
            if self._total_bytes + size_bytes <= self._budget_bytes:
                return

    def _listed(self) -> Iterator[tuple[str, _File]]:
        """Name, size and time of last use of every kept file."""
        for path in self._folder.glob(f"*{_SUFFIX}"):
            try:
                facts = path.stat()
            except FileNotFoundError:  # another run has just made room
                continue
            yield path.name, _File(facts.st_size, facts.st_mtime_ns)

    def _path(self, key: Digest) -> Path:
        return self._folder / f"{digest.hex_of(key)}{_SUFFIX}"


def _replace(path: Path, data: bytes) -> None:
    """Replace a file whole. It is not synced: what a power failure cuts its digest tells."""
    handle, temporary = tempfile.mkstemp(suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _encode(recording: Recording) -> bytes:
    import torch
    from safetensors.torch import save

    named = {f"{_OUTPUT}{n}": tensor for n, tensor in enumerate(recording.outputs)}
    for name, tensor in recording.inputs.items():
        if is_stand_in(tensor):
            named[_SHAPE + name] = torch.tensor(tensor.shape)
            named[_SHAPED + name] = tensor.flatten()[:1]
        else:
            named[_INPUT + name] = tensor
    data: bytes = save({name: tensor.contiguous() for name, tensor in named.items()})
    return data


def _decode(path: Path, size_bytes: int, pictures: int) -> Recording:
    import torch

    flat = torch.from_file(str(path), shared=False, size=size_bytes, dtype=torch.uint8)
    entries = safetensors.parse_header(flat.numpy().data, where=path.name, canonical_form=False)
    named = {
        entry.name: flat[entry.start : entry.end]
        .view(getattr(torch, _DTYPES[entry.dtype]))
        .view(entry.shape)
        for entry in entries
    }
    inputs = {}
    for name, tensor in named.items():
        if name.startswith(_INPUT):
            inputs[name.removeprefix(_INPUT)] = tensor
        elif name.startswith(_SHAPE):
            own = name.removeprefix(_SHAPE)
            inputs[own] = stand_in(tensor.tolist(), named[_SHAPED + own].dtype)
    count = sum(name.startswith(_OUTPUT) for name in named)
    outputs = tuple(named[f"{_OUTPUT}{number}"] for number in range(count))
    return Recording(pictures=pictures, inputs=inputs, outputs=outputs)


def _whole(path: Path) -> int | None:
    """The bytes of a file before their digest; None where they are not those that it is of."""
    hasher = Hasher()
    try:
        with path.open("rb") as stream:
            size = left = os.fstat(stream.fileno()).st_size - _TRAILER_BYTES
            while left > 0 and (piece := stream.read(min(left, _READ_BYTES))):
                hasher.update(piece)
                left -= len(piece)
            trailer = stream.read()
    except FileNotFoundError:
        return None
    return size if trailer == digest.raw_of(hasher.digest()) else None
