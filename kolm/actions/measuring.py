"""The compositions: a base measured, and what this machine remembers of weights that it has hashed.

Hashing a large base takes a while, and between two audits nothing of it changes. So the digests of
a weight file's tensors, and what else an audit computes of them, are kept under what the file
system says of the file: device, inode, size, and the times of the last writing and the last change.
Only the system sets the last of these, so that restoring the other one hides nothing. On a stick or
an image somebody else set it: a record is believed only of files on the file system that it lies
on, whose owner could write it too. A compile and an evaluation remember what they hash and believe
only that: what is signed was read by the process that signs it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypedDict, cast

from kolm import canonical, digest, paths
from kolm.bundle.base_root import BaseFacts, FileStamp, base_root
from kolm.digest import Digest
from kolm.errors import KolmError
from kolm.run.names import BASES
from kolm.sign import own_files

SCHEMA: Final = "urn:kolm:base-digests:v2"
_MOST_BYTES: Final = 64 * 1024 * 1024  # a safetensors header of 100 MB names fewer tensors
_MOST_DERIVED: Final = 8  # values for each tensor of a file; an honest audit asks for two
_SETTLED_NS: Final = 2_000_000_000  # the coarsest clock of a file system that is in use (FAT)


Measure = Callable[[Path], BaseFacts]


def measure(folder: Path) -> BaseFacts:
    """Measure a base; weights that did not change since they were last hashed here are not read.

    Raises:
        KolmError: as `base_root`.
    """
    return base_root(folder, here())


def measure_now(folder: Path) -> BaseFacts:
    """Measure a base, reading all of it: for what will be signed.

    Raises:
        KolmError: as `base_root`.
    """
    return base_root(folder, here(believe=False))


def here(*, believe: bool = True) -> RememberedDigests:
    """What this machine remembers.

    Args:
        believe: whether it is used, or only written.
    """
    return RememberedDigests(
        paths.cache_folder() / BASES,
        now_ns=time.time_ns(),  # the composition reads the clock
        believe=believe,
    )


class _Record(TypedDict):
    schema: str
    file: Digest
    tensors: list[Digest]
    derived: dict[Digest, str]


class RememberedDigests:
    """Digests of tensors by the file that holds them: one small file for each, replaced whole.

    Nothing here is needed: what cannot be read, or could have been written by somebody else, is
    hashed again, and what cannot be written is not remembered.

    Args:
        folder: where they lie.
        now_ns: the time in nanoseconds. A file that changed in the last moments before is not
            remembered: a second change could bear the same time.
        believe: whether what lies there is used, or only written.
    """

    def __init__(self, folder: Path, *, now_ns: int, believe: bool) -> None:
        self._folder = folder
        self._now_ns = now_ns
        self._believe = believe

    def recall(self, file: FileStamp) -> tuple[Digest, ...] | None:
        """The digests of a file's tensors, in the order of their bytes; None when not known."""
        found = self._read(file)
        return None if found is None else tuple(map(Digest, found["tensors"]))

    def derived(self, file: FileStamp) -> Mapping[Digest, str]:
        """What else was computed of a file's tensors, by the digest of all that it follows from."""
        found = self._read(file)
        return {} if found is None else {Digest(name): v for name, v in found["derived"].items()}

    def _read(self, file: FileStamp) -> _Record | None:
        if not self._believe:
            return None
        try:
            if self._path(file).stat().st_dev != file.device:
                return None
            data = own_files.read(self._path(file), max_bytes=_MOST_BYTES)
            body, _, check = data.partition(b"\n")
            value = canonical.loads_canonical(body, where=BASES, max_bytes=_MOST_BYTES)
        except (OSError, KolmError):
            return None
        whole = check == digest.of_bytes(body).encode() and isinstance(value, dict)
        if not whole or (value.get("schema"), value.get("file")) != (SCHEMA, _identity(file)):
            return None
        return cast("_Record", value)

    def remember(
        self,
        file: FileStamp,
        tensors: tuple[Digest, ...],
        derived: Mapping[Digest, str] = MappingProxyType({}),
    ) -> None:
        """Keep the digests of a file's tensors, and what else was computed of them."""
        if max(file.written_ns, file.changed_ns) > self._now_ns - _SETTLED_NS:
            return
        if len(derived) > _MOST_DERIVED * len(tensors):
            derived = {}  # of bundles that ask for ever other things: begun anew
        document: _Record = {
            "derived": dict(derived),
            "file": _identity(file),
            "schema": SCHEMA,
            "tensors": list(tensors),
        }
        body = canonical.dumps(document)
        with contextlib.suppress(KolmError, OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            own_files.demand_folder(self._folder)
            data = body + b"\n" + digest.of_bytes(body).encode()
            paths.atomic_write(self._path(file), data, mode=0o600)

    def _path(self, file: FileStamp) -> Path:
        """By device and inode alone, so that a file that changed takes its own place again."""
        return self._folder / f"{file.device:x}-{file.inode:x}"


def _identity(file: FileStamp) -> Digest:
    return digest.of_value(list(map(str, file)))  # nanoseconds are beyond what JSON counts exactly
