"""Safetensors: strict reading, one canonical encoding, digests."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from kolm.bundle import tensor_writer, tensors
from kolm.errors import Refused

RAW = struct.pack("<4f", 1, 2, 3, 4)
TWO = {"b": ("F32", (2, 2), RAW), "a": ("I64", (1,), bytes(8))}


def _file(header: Any, data: bytes = b"", *, pad: int = 0) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * pad
    return len(text).to_bytes(8, "little") + text + data


def _tensor(start: int, end: int, dtype: str = "U8", shape: Any = None) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [end - start] if shape is None else shape,
            "data_offsets": [start, end]}  # fmt: skip


def test_the_library_reads_what_is_encoded() -> None:
    found = dict(safetensors.deserialize(tensor_writer.encode(TWO)))
    assert found["b"] == {"dtype": "F32", "shape": [2, 2], "data": bytearray(RAW)}
    assert found["a"]["shape"] == [1]


def test_the_header_is_canonical_and_aligned() -> None:
    data = tensor_writer.encode(TWO)
    size = int.from_bytes(data[:8], "little")
    assert size % 8 == 0
    assert data[8 : 8 + size].rstrip(b" ") == (
        b'{"__metadata__":{"format":"pt"},'
        b'"a":{"data_offsets":[0,8],"dtype":"I64","shape":[1]},'
        b'"b":{"data_offsets":[8,24],"dtype":"F32","shape":[2,2]}}'
    )


def test_entries_point_into_the_file() -> None:
    data = tensor_writer.encode(TWO)
    entries = tensors.parse_header(data, where="x")
    assert [(e.name, e.dtype, e.shape, e.elements) for e in entries] == [
        ("a", "I64", (1,), 1),
        ("b", "F32", (2, 2), 4),
    ]
    assert data[entries[1].start : entries[1].end] == RAW


@pytest.mark.parametrize("metadata", [{"format": "pt", "z": "1", "a": "2"}, None])
def test_what_the_library_writes_has_one_canonical_form(metadata: Any) -> None:
    arrays = {
        "b": np.array([[1, 2], [3, 4]], dtype=np.float32),
        "a": np.zeros(1, dtype=np.int64),
    }
    theirs = safetensors.numpy.save(arrays, metadata)
    assert tensor_writer.canonicalise(theirs) == tensor_writer.encode(TWO)
    assert tensor_writer.canonicalise(tensor_writer.encode(TWO)) == tensor_writer.encode(TWO)
    with pytest.raises(Refused) as refused:
        tensors.parse_header(theirs, where="x")
    assert refused.value.code == "E_TENSORS_CANONICAL"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "E_TENSORS_HEADER"),
        (b"1234567", "E_TENSORS_HEADER"),
        ((2**40).to_bytes(8, "little"), "E_CONTAINER_LIMIT"),
        (_file({}, b"")[:-1], "E_TENSORS_HEADER"),
        (_file(b" {}"), "E_TENSORS_HEADER"),
        (_file(b"[1]"), "E_TENSORS_HEADER"),
        (_file(b"{" * 5000), "E_JSON_TOO_DEEP"),
        (_file(b'{"a":1,"a":2}'), "E_JSON_VALUE"),
        (_file(b'{"a":{"dtype":"U8","dtype":"I8","shape":[0]}}'), "E_JSON_VALUE"),
        (_file({"a": _tensor(0, 1, "FANCY")}, b"1"), "E_TENSORS_HEADER"),
        (_file({"a": _tensor(0, 1, ["U8"])}, b"1"), "E_TENSORS_HEADER"),  # type: ignore[arg-type]
        (_file({"a": _tensor(0, 1, "F32")}, b"1"), "E_TENSORS_HEADER"),
        (_file({"a": _tensor(0, 1, shape=[True])}, b"1"), "E_TENSORS_HEADER"),
        (_file({"a": _tensor(0, 1, shape=[-1, -1])}, b"1"), "E_TENSORS_HEADER"),
        (_file({"a": _tensor(0, 1, shape=[1] * 9)}, b"1"), "E_CONTAINER_LIMIT"),
        (_file({"a": _tensor(1, 0, shape=[0])}, b""), "E_TENSORS_HEADER"),
        (_file({"a": {**_tensor(0, 1), "extra": 1}}, b"1"), "E_TENSORS_HEADER"),
        (_file({"x" * 600: _tensor(0, 1)}, b"1"), "E_CONTAINER_LIMIT"),
        (_file({"\ud800": _tensor(0, 1)}, b"1"), "E_JSON_VALUE"),
        (_file({"__metadata__": {"n": 1}}), "E_TENSORS_HEADER"),
        (_file({"__metadata__": {"format": "\ud800"}}), "E_JSON_VALUE"),
        (_file({"a": _tensor(1, 2)}, b"12"), "E_TENSORS_LAYOUT"),
        (_file({"a": _tensor(0, 1), "b": _tensor(2, 3)}, b"123"), "E_TENSORS_LAYOUT"),
        (_file({"a": _tensor(0, 2), "b": _tensor(1, 3)}, b"123"), "E_TENSORS_LAYOUT"),
        (_file({"a": _tensor(0, 1), "b": _tensor(0, 1, "I8")}, b"1"), "E_TENSORS_LAYOUT"),
        (_file({"a": _tensor(0, 1)}, b"12"), "E_TENSORS_LAYOUT"),
        (_file({"a": _tensor(0, 2)}, b"1"), "E_TENSORS_LAYOUT"),
        (_file({"b": _tensor(0, 1), "a": _tensor(1, 2)}, b"12"), "E_TENSORS_CANONICAL"),
    ],
)  # fmt: skip
def test_malformed_files_are_refused(data: bytes, code: str) -> None:
    with pytest.raises(Refused) as refused:
        tensors.parse_header(data, where="x")
    assert refused.value.code == code


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.replace(b'"pt"', b'"tf"'),
        lambda d: d.replace(b'{"__metadata__":{"format":"pt"},', b"{" + b" " * 31),
        lambda d: d.replace(b'"shape":[1]}', b'"shape":[1]} ').replace(b"} ", b"}", 1),
    ],
)
def test_a_second_spelling_of_the_same_tensors_is_refused(change: Any) -> None:
    data = tensor_writer.encode(TWO)
    forged = change(data)
    if forged == data:
        forged = data.replace(b"}}  ", b" }} ", 1)
    assert forged != data
    with pytest.raises(Refused):
        tensors.parse_header(forged, where="x")


def test_a_digest_covers_dtype_and_shape_and_bytes() -> None:
    digests = {
        tensors.tensor_digest("U8", [4], b"1234"),
        tensors.tensor_digest("I8", [4], b"1234"),
        tensors.tensor_digest("U8", [2, 2], b"1234"),
        tensors.tensor_digest("U8", [4], b"1235"),
    }
    assert len(digests) == 4


def test_a_digest_is_the_documented_hash() -> None:
    import hashlib

    written = b'kolm-tensor-v1\0{"dtype":"U8","shape":[4]}\0' + b"1234"
    expected = "sha256:" + hashlib.sha256(written).hexdigest()
    assert tensors.tensor_digest("U8", (4,), memoryview(b"1234")) == expected
