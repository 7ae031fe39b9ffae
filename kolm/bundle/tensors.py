"""The bundle: safetensors read strictly, and digests of tensors.

Torch-free and numpy-free: the verifier, the sealer and the base root all read weights through
this file. Rules of the canonical header: docs/format/container.md, T1 to T7.
"""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple, TypeGuard

from kolm import canonical
from kolm.bundle import limits
from kolm.digest import Digest, Hasher
from kolm.errors import Refused

if TYPE_CHECKING:
    from kolm.bundle.ranges import Ranges

# Bits of one element; the names are those of the safetensors format.
ELEMENT_BITS: Final = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "I64": 64,
    "U64": 64,
    "F64": 64,
}
METADATA: Final = {"format": "pt"}  # transformers refuses a file without it

_DIGEST_LABEL = b"kolm-tensor-v1\0"
_LENGTH_BYTES = 8


class TensorEntry(NamedTuple):
    """One tensor of a file; its bytes are ``data[start:end]`` of the whole file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def elements(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


def parse_header(
    data: "bytes | memoryview | Ranges", *, where: str, canonical_form: bool = True
) -> tuple[TensorEntry, ...]:
    """Read a safetensors file strictly.

    Args:
        data: the whole file, held or read by ranges.
        where: the member or file, for errors.
        canonical_form: also demand that the header equals its canonical re-encoding. Files that
            other tools wrote (a base checkpoint) are read without.

    Returns:
        The tensors in the order of their bytes.

    Raises:
        Refused: ``E_TENSORS_HEADER`` (not a header, unknown dtype, duplicate name, wrong shape),
            ``E_TENSORS_LAYOUT`` (a hole, an overlap, bytes left over) or ``E_TENSORS_CANONICAL``.
    """
    header = _header_bytes(data, where)
    base = _LENGTH_BYTES + len(header)
    value = canonical.loads(
        header.rstrip(b" "), where=where, max_bytes=limits.TENSOR_HEADER_BYTES.value
    )
    if type(value) is not dict:
        raise _bad_header(where, "the header is not an object")
    metadata = value.pop("__metadata__", {})
    if type(metadata) is not dict or not all(type(v) is str for v in metadata.values()):
        raise _bad_header(where, "__metadata__ does not map names to strings")
    entries = [read_entry(name, fields, base, where) for name, fields in value.items()]
    # An empty tensor shares its start with the next one; the name decides, as it does in writing.
    entries.sort(key=lambda entry: (entry.start, entry.end, entry.name))
    _check_layout(entries, base, len(data), where)
    if canonical_form and (metadata != METADATA or encode_header(entries) != bytes(data[:base])):
        raise Refused(
            "E_TENSORS_CANONICAL",
            "the safetensors header is not the canonical one",
            where=where,
            hint="pack with kolm, which writes the header again",
        )
    return tuple(entries)


def _header_bytes(data: "bytes | memoryview | Ranges", where: str) -> bytes:
    if len(data) < _LENGTH_BYTES:
        raise _bad_header(where, "the file is shorter than its length field")
    size = int.from_bytes(data[:_LENGTH_BYTES], "little")
    limits.TENSOR_HEADER_BYTES.hold(size, where=where)
    if size > len(data) - _LENGTH_BYTES:
        raise _bad_header(where, "the header is cut short")
    header = bytes(data[_LENGTH_BYTES : _LENGTH_BYTES + size])
    if not header.startswith(b"{"):
        raise _bad_header(where, "the header does not start with an object")
    return header


def read_entry(name: str, fields: object, base: int, where: str) -> TensorEntry:
    """One tensor of a header whose data begins at byte `base`.

    Raises:
        Refused: ``E_TENSORS_HEADER``, or ``E_CONTAINER_LIMIT``.
    """
    try:
        limits.TENSOR_NAME_BYTES.hold(len(name.encode("utf-8")), where=f"{where}#{name[:120]}")
    except UnicodeEncodeError:
        raise _bad_header(where, "the name of a tensor holds a lone surrogate") from None
    place = f"{where}#{name[:120]}"
    if type(fields) is not dict or set(fields) != {"dtype", "shape", "data_offsets"}:
        raise _bad_header(place, "a tensor has exactly dtype, shape and data_offsets")
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ELEMENT_BITS:
        raise _bad_header(place, f"unknown dtype {str(dtype)[:40]!r}")
    if not _counts(shape) or not _counts(offsets) or len(offsets) != 2:
        raise _bad_header(place, "shape and data_offsets are lists of counts")
    limits.TENSOR_RANK.hold(len(shape), where=place)
    start, end = offsets
    if (end - start) * 8 != math.prod(shape) * ELEMENT_BITS[dtype]:
        raise _bad_header(place, "shape and dtype do not fill the bytes of the tensor")
    return TensorEntry(
        name=name, dtype=dtype, shape=tuple(shape), start=base + start, end=base + end
    )


def _counts(value: object) -> TypeGuard[list[int]]:
    return type(value) is list and all(type(item) is int and item >= 0 for item in value)


def _check_layout(entries: list[TensorEntry], base: int, size: int, where: str) -> None:
    position = base
    for entry in entries:
        if entry.start != position:
            kind = "a hole before" if entry.start > position else "an overlap with"
            raise Refused("E_TENSORS_LAYOUT", f"{kind} {entry.name[:120]}", where=where)
        position = entry.end
    if position != size:
        raise Refused(
            "E_TENSORS_LAYOUT",
            "the tensors do not end where the file does",
            where=where,
            expected=f"{position} bytes",
            found=f"{size} bytes",
        )


def _bad_header(where: str, message: str) -> Refused:
    return Refused("E_TENSORS_HEADER", message, where=where)


def encode_header(entries: list[TensorEntry] | tuple[TensorEntry, ...]) -> bytes:
    """The canonical header of these tensors: names sorted, offsets contiguous in that order."""
    value: dict[str, object] = {"__metadata__": METADATA}
    position = 0
    for entry in sorted(entries, key=by_name):
        size = entry.end - entry.start
        value[entry.name] = {
            "data_offsets": [position, position + size],
            "dtype": entry.dtype,
            "shape": list(entry.shape),
        }
        position += size
    text = canonical.dumps(value)
    text += b" " * (-len(text) % 8)  # the library aligns the data to eight bytes
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text


def by_name(entry: TensorEntry) -> bytes:
    """The sort key of the canonical order."""
    return entry.name.encode("utf-16-be", "surrogatepass")


def tensor_digest(
    dtype: str,
    shape: tuple[int, ...] | list[int],
    raw: bytes | memoryview | Iterable[bytes],
) -> Digest:
    """The digest of one tensor: over its dtype, its shape and its little-endian bytes.

    Covering the dtype matters: safetensors lets two names share bytes under different dtypes.
    """
    hasher = Hasher(_DIGEST_LABEL + canonical.dumps({"dtype": dtype, "shape": list(shape)}) + b"\0")
    for piece in (raw,) if isinstance(raw, bytes | bytearray | memoryview) else raw:
        hasher.update(piece)
    return hasher.digest()
