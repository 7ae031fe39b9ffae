"""Encode: features of tower calls kept on disk between runs, under a budget.

One file a call, named after a key over everything that its bits depend on: the features, then
their SHA-256. A file is replaced whole and checked whenever it is read, so one that is damaged or
stale is made again. What was used longest ago makes room; what does not fit is not kept.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kolm import digest, paths, system
from kolm.digest import Digest, Hasher

if TYPE_CHECKING:
    import torch

_SUFFIX: Final = ".features"
_TRAILER_BYTES: Final = 32  # the SHA-256 of what stands before it
_SPARE_BYTES: Final = 1 << 30  # of the disk, for checkpoints: features never fill it
_READ_BYTES: Final = 1 << 20


class KeptFeatures:
    """The kept features of one machine.

    Args:
        folder: where they lie.
        budget_bytes: the most that they may take in all.
    """

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self._folder = folder
        self._budget_bytes = budget_bytes
        self._used: set[str] = set()  # by this run: these do not make room for one another

    def has_room(self, size_bytes: int) -> bool:
        """Whether features of this size would be kept, now."""
        needed = size_bytes + _TRAILER_BYTES
        own = sum(size for name, size, _ in self._files() if name in self._used)
        if own + needed > self._budget_bytes:
            return False
        self._folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self._folder).free - needed >= _SPARE_BYTES

    def load(self, key: Digest, shape: tuple[int, int], dtype: torch.dtype) -> torch.Tensor | None:
        """The features of a call, mapped; None where they are not there whole.

        Args:
            key: of the call.
            shape: (patches, width).
            dtype: of the features.
        """
        import torch

        path = self._path(key)
        elements = shape[0] * shape[1]
        if not _is_whole(path, elements * dtype.itemsize):
            return None
        os.utime(path)  # used now
        self._used.add(path.name)
        flat = torch.from_file(str(path), shared=False, size=elements, dtype=dtype)
        return flat.view(shape)

    def save(self, key: Digest, features: torch.Tensor) -> bool:
        """Keep the features of a call, if the budget has room; says whether it had."""
        import torch

        data = features.contiguous().view(torch.uint8).numpy().tobytes()
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


def _is_whole(path: Path, size_bytes: int) -> bool:
    """Whether a file holds so many bytes and then their digest."""
    hasher, left = Hasher(), size_bytes
    try:
        with path.open("rb") as stream:
            while left and (piece := stream.read(min(left, _READ_BYTES))):
                hasher.update(piece)
                left -= len(piece)
            trailer = stream.read(_TRAILER_BYTES + 1)
    except FileNotFoundError:
        return False
    return not left and trailer == digest.raw_of(hasher.digest())
