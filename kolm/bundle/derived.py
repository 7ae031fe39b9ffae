"""The bundle: what follows from a base's tensors and takes long to compute, besides their digests.

A norm, the digest that a tensor has once loading has widened it: an audit computes them again and
again from the same bytes. Each has a name that is the digest of all that it follows from, the
digests of the stored tensors among it, so that of another tensor it is never asked for. It is kept
beside the digests of the file that was read, and believed as these are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kolm.bundle.base_root import FileStamp, Memory
from kolm.bundle.ranges import Ranges
from kolm.bundle.tensors import TensorEntry
from kolm.digest import Digest
from kolm.format.base import BaseTensor


class Derived:
    """What is remembered of one base's weight files; without a memory nothing is.

    Args:
        folder: of a base that has been measured.
        tensors: that were measured.
        memory: the one that measured them.
    """

    def __init__(
        self, folder: Path, tensors: Iterable[BaseTensor], memory: Memory | None = None
    ) -> None:
        self._folder = folder
        self._memory = memory
        self._measured: dict[str, dict[str, Digest]] = {}  # by file and key
        for tensor in tensors if memory is not None else ():
            self._measured.setdefault(tensor.file, {})[tensor.key] = tensor.digest
        self._stamps: dict[str, FileStamp] = {}  # of files that were found to be as measured
        self._known: dict[str, dict[Digest, str]] = {}

    def recall(self, file: str, name: Digest) -> str | None:
        """A value, or None when it is not known.

        Args:
            file: of weights, in which it is kept: the first that it follows from.
            name: the digest of all that it follows from.
        """
        if self._memory is None:
            return None
        if file not in self._known:
            self._known[file] = {}
            with contextlib.suppress(OSError):
                stamp = FileStamp.of((self._folder / file).stat())
                self._known[file] = dict(self._memory.derived(stamp))
        return self._known[file].get(name)

    def is_as_measured(self, file: str, data: Ranges, entries: Sequence[TensorEntry]) -> bool:
        """Whether what was read of an open file is what had been measured; asked after reading.

        Args:
            file: of weights.
            data: the same.
            entries: its tensors, in the order of their bytes.

        Returns:
            True if its digests are remembered under its present stamp, and are the measured ones.
        """
        stamp = FileStamp.of(data.facts)
        if self._memory is not None and self._stamps.get(file) != stamp:
            digests = self._memory.recall(stamp) or ()
            if len(digests) == len(entries) and self._measured.get(file) == {
                entry.name: own for entry, own in zip(entries, digests, strict=True)
            }:
                self._stamps[file] = stamp
        return self._stamps.get(file) == stamp

    def remember(self, file: str, found: Mapping[Digest, str]) -> None:
        """Keep values that follow from a file that was as measured, and others like it.

        Args:
            file: in which they are kept.
            found: by the digest of all that each follows from.
        """
        stamp = self._stamps.get(file)
        if self._memory is None or stamp is None or not found:
            return
        tensors = self._memory.recall(stamp)
        if tensors is not None:
            known = {**self._memory.derived(stamp), **found}
            self._memory.remember(stamp, tensors, known)
