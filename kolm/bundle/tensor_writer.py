"""The bundle: safetensors written canonically. Rules T1 to T7 of docs/format/container.md."""

from __future__ import annotations

from pathlib import Path

from kolm.bundle.tensors import by_name, encode_header, parse_header, read_entry


def canonicalise(source: bytes | Path, *, where: str = "safetensors") -> bytes:
    """The canonical bytes of a safetensors file: same tensors, one possible encoding.

    The library orders ``__metadata__`` at random and tensors by dtype; a content id needs one
    order. Metadata other than ``format`` is dropped.

    Raises:
        Refused: as `parse_header`.
    """
    data = source if isinstance(source, bytes) else source.read_bytes()
    entries = parse_header(data, where=where, canonical_form=False)
    view = memoryview(data)
    ordered = sorted(entries, key=by_name)
    return b"".join((encode_header(entries), *(view[e.start : e.end] for e in ordered)))


def encode(tensors: dict[str, tuple[str, tuple[int, ...], bytes | memoryview]]) -> bytes:
    """Canonical safetensors bytes of tensors given as name to (dtype, shape, bytes).

    Raises:
        Refused: ``E_TENSORS_HEADER`` when the bytes do not fill the shape.
    """
    entries = []
    for name, (dtype, shape, raw) in tensors.items():
        fields = {"dtype": dtype, "shape": list(shape), "data_offsets": [0, len(raw)]}
        entries.append(read_entry(name, fields, 0, "tensors"))
    ordered = sorted(entries, key=by_name)
    return b"".join((encode_header(entries), *(tensors[entry.name][2] for entry in ordered)))
