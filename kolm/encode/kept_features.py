"""Encode: recordings of tower calls kept on disk between runs, under a budget.

One file a call, named after a key over everything that its bits depend on: the recording as
safetensors, then its SHA-256. A file is replaced whole and checked whenever it is read, so one that
is damaged or stale is made again. What was used longest ago makes room; what does not fit is not
kept.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from kolm import digest, paths, system
from kolm.bundle import tensors as safetensors
from kolm.digest import Digest, Hasher
from kolm.models.taps import Recording, is_stand_in, stand_in

_SUFFIX: Final = ".features"
_TRAILER_BYTES: Final = 32  # the SHA-256 of what stands before it
SPARE_BYTES: Final = 1 << 30  # of the disk, for checkpoints: recordings never fill it
_READ_BYTES: Final = 1 << 20
_DTYPES: Final = {
    "BF16": "bfloat16", "BOOL": "bool", "F16": "float16", "F32": "float32", "I32": "int32",
    "I64": "int64", "U8": "uint8",
}  # fmt: skip
# Before the names of tensors: what the model takes, the same of which only the shape is kept, and
# what the tower gave, by number.
_INPUT, _SHAPE, _SHAPED, _OUTPUT = "input.", "shape.", "shaped.", "output."


class KeptFeatures:
    """The kept recordings of one machine.

    Args:
        folder: where they lie.
        budget_bytes: the most that they may take in all.
    """

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self._folder = folder
        self._budget_bytes = budget_bytes
        self._used: set[str] = set()  # by this run: these do not make room for one another

    def has_room(self, size_bytes: int) -> bool:
        """Whether a recording of this size would be kept, now."""
        needed = size_bytes + _TRAILER_BYTES
        own = sum(size for name, size, _ in self._files() if name in self._used)
        if own + needed > self._budget_bytes:
            return False
        self._folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self._folder).free - needed >= SPARE_BYTES

    def load(self, key: Digest, pictures: int) -> Recording | None:
        """The recording of a call, mapped; None where it is not there whole.

        Args:
            key: of the call.
            pictures: of the call.
        """
        path = self._path(key)
        size_bytes = _whole(path)
        if size_bytes is None:
            return None
        os.utime(path)  # used now
        self._used.add(path.name)
        return _decode(path, size_bytes, pictures)

    def save(self, key: Digest, recording: Recording) -> bool:
        """Keep the recording of a call, if the budget has room; says whether it had."""
        data = _encode(recording)
        if not self.has_room(len(data)):
            return False
        self._make_room(len(data) + _TRAILER_BYTES)
        path = self._path(key)
        with system.naming(path):
            paths.atomic_write(path, data + digest.raw_of(digest.of_bytes(data)))
        self._used.add(path.name)
        return True

    def _make_room(self, size_bytes: int) -> None:
        files = sorted(self._files(), key=lambda file: file[2])
        total = sum(size for _, size, _ in files)
        for name, size, _ in files:
            if total + size_bytes <= self._budget_bytes:
                return
            if name not in self._used:
                (self._folder / name).unlink(missing_ok=True)
                total -= size

    def _files(self) -> list[tuple[str, int, int]]:
        """Name, size in bytes and time of last use of every kept file."""
        found = []
        for path in self._folder.glob(f"*{_SUFFIX}"):
            try:
                facts = path.stat()
            except FileNotFoundError:  # another run has just made room
                continue
            found.append((path.name, facts.st_size, facts.st_mtime_ns))
        return found

    def _path(self, key: Digest) -> Path:
        return self._folder / f"{digest.hex_of(key)}{_SUFFIX}"


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
