"""A checkpoint's tensors as they are in memory after loading: half precision made float32, experts
that are stored one by one joined, or the last two axes of a family's experts swapped.

All of it is exact, so the digest of what training had in memory follows from the checkpoint's
bytes. Without numpy: the verifier has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, NamedTuple

from kolm import digest
from kolm.bundle.base_root import base_changed
from kolm.bundle.derived import Derived
from kolm.bundle.ranges import Ranges
from kolm.bundle.tensors import TensorEntry, parse_header, tensor_digest
from kolm.digest import Digest
from kolm.elements import widened
from kolm.format.base import BaseTensor

# Formats of the struct module, by an element's bytes.
_FORMATS: Mapping[int, Literal["B", "H", "I", "Q"]] = {1: "B", 2: "H", 4: "I", 8: "Q"}


class Loaded(NamedTuple):
    """How a parameter is in memory.

    Attributes:
        dtype: the stored one, or the one that `elements.WIDENED` makes of it.
        shape: in memory.
        parts: the stored tensors that make it, one after the other.
        swapped: the last two axes of the one that makes it are the other way round.
    """

    dtype: str
    shape: tuple[int, ...]
    parts: tuple[BaseTensor, ...]
    swapped: bool = False

    @property
    def name(self) -> Digest:
        """The digest of all that the parameter's digest in memory follows from."""
        parts = [part.digest for part in self.parts]
        return digest.of_value(["loaded", self.dtype, list(self.shape), self.swapped, parts])


def digests_as_loaded(
    folder: Path, wanted: Mapping[str, Loaded], derived: Derived | None = None
) -> dict[str, Digest]:
    """The digests that parameters have in memory.

    Args:
        folder: of a base that has been measured.
        wanted: for names what loading makes of its tensors.
        derived: what is remembered of them; without it nothing is.

    Raises:
        Unreadable: ``E_BASE_CHANGED``: a file no longer holds what was measured.
        KolmError: a file cannot be read any more.
    """
    known: dict[str, Digest] = {}
    derived = derived or Derived(folder, ())
    for name, loaded in wanted.items():
        found = derived.recall(loaded.parts[0].file, loaded.name)
        if found is not None:
            known[name] = Digest(found)
    rest = {name: loaded for name, loaded in wanted.items() if name not in known}
    with ExitStack() as open_files:
        shards: dict[str, tuple[Ranges, dict[str, TensorEntry]]] = {}
        for file in sorted({part.file for loaded in rest.values() for part in loaded.parts}):
            data = open_files.enter_context(Ranges(folder / file))
            header = parse_header(data, where=file, canonical_form=False)
            shards[file] = data, {entry.name: entry for entry in header}
        computed: dict[str, dict[Digest, str]] = {}
        for name, loaded in rest.items():
            pieces = _pieces(loaded, shards)
            known[name] = tensor_digest(loaded.dtype, loaded.shape, pieces)
            computed.setdefault(loaded.parts[0].file, {})[loaded.name] = known[name]
        if all(
            derived.is_as_measured(file, data, tuple(entries.values()))
            for file, (data, entries) in shards.items()
        ):
            for file, values in computed.items():
                derived.remember(file, values)
    return known


def swapped_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape with its last two axes the other way round."""
    return (*shape[:-2], *reversed(shape[-2:]))


def _pieces(
    loaded: Loaded, shards: Mapping[str, tuple[Ranges, Mapping[str, TensorEntry]]]
) -> Iterator[bytes]:
    for part in loaded.parts:
        data, entries = shards[part.file]
        entry = entries.get(part.key)
        if entry is None or (entry.dtype, entry.shape) != (part.dtype, part.shape):
            raise base_changed(part.file)
        pieces = _swapped(data, entry) if loaded.swapped else data.pieces(entry.start, entry.end)
        for piece in pieces:
            yield piece if entry.dtype == loaded.dtype else widened(entry.dtype, piece)


def _swapped(data: Ranges, entry: TensorEntry) -> Iterator[bytes]:
    """The bytes of a tensor with its last two axes swapped, one matrix at a time."""
    if not entry.elements:
        return
    rows, columns = entry.shape[-2:]
    width = (entry.end - entry.start) // entry.elements
    matrix_bytes = rows * columns * width
    for start in range(entry.start, entry.end, matrix_bytes):
        matrix = memoryview(data[start : start + matrix_bytes]).cast(_FORMATS[width])
        yield b"".join(matrix[column::columns].tobytes() for column in range(columns))
