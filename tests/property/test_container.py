"""Whatever is done to a bundle's bytes, the reader refuses it or nothing was changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kolm import canonical, digest
from kolm.bundle import layout, tar, tensor_writer, tensors, writer
from kolm.bundle.container import Container
from kolm.bundle.held import Held
from kolm.bundle.members import TABLE, ContentKind
from kolm.bundle.reader import Bundle
from kolm.errors import KolmError, Refused
from kolm.sign import private_keys
from kolm.sign.trust import TrustStore
from kolm.verify.subject import Auditor
from kolm.verify.verifier import verify
from tests.support.bundles import (
    CONTAINER_RULES,
    NOW,
    blob,
    container_failures,
    make_parts,
    read_entries,
    write_tar,
)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    return make_parts(folder).seal(folder / "toy.kolm", key=private_keys.generate())


def defects(data: bytes | bytearray) -> Iterator[KolmError]:
    """What the container rules say of a file's bytes, without a file."""
    container = Container(Held(Path("memory"), memoryview(data), digest.EMPTY))
    for rule in CONTAINER_RULES.values():
        try:
            yield from rule(container)
        except KolmError as error:
            yield error


def refused(data: bytes | bytearray) -> bool:
    return next(defects(data), None) is not None


def _flip(data: bytearray, position: int, bit: int) -> bool:
    data[position] ^= 1 << bit
    found = refused(data)
    data[position] ^= 1 << bit
    return found


def _metadata(data: bytes) -> list[int]:
    """The positions of every byte that is not a large blob: headers, padding, manifests, end."""
    covered: set[int] = set()
    for entry in tar.walk(memoryview(data)).entries[6:]:
        covered.update(range(entry.offset, entry.offset + entry.size))
    return [position for position in range(len(data)) if position not in covered]


def test_an_untouched_bundle_passes(signed: Path) -> None:
    assert container_failures(signed) == {}
    assert not refused(signed.read_bytes())


def test_a_flip_in_the_metadata_is_refused(signed: Path) -> None:
    data = bytearray(signed.read_bytes())
    positions = _metadata(bytes(data))
    assert len(positions) > 8_000
    # Coprime to 8, so that every bit of a byte has its turn; the slow test below takes them all.
    kept = [p for number, p in enumerate(positions[::3]) if not _flip(data, p, number % 8)]
    assert kept == []


def test_every_bit_of_the_first_header_the_index_and_the_end_counts(signed: Path) -> None:
    data = bytearray(signed.read_bytes())
    index = tar.walk(memoryview(bytes(data))).entries[1]
    positions = [
        *range(512),
        *range(index.offset, index.offset + 100),
        *range(len(data) - 64, len(data)),
    ]
    assert [(p, b) for p in positions for b in range(8) if not _flip(data, p, b)] == []


@pytest.mark.slow
def test_every_bit_of_the_metadata_counts(signed: Path) -> None:
    data = bytearray(signed.read_bytes())
    positions = _metadata(bytes(data))
    assert [(p, b) for p in positions for b in range(8) if not _flip(data, p, b)] == []


@settings(max_examples=150, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flip_anywhere_is_refused(signed: Path, place: float, bit: int) -> None:
    data = bytearray(signed.read_bytes())
    assert _flip(data, int(place * len(data)), bit)


@settings(max_examples=60, deadline=None)
@given(start=st.floats(0, 1, exclude_max=True), length=st.integers(1, 5000), data=st.data())
def test_cut_repeated_and_inserted_bytes_are_refused(
    signed: Path, start: float, length: int, data: st.DataObject
) -> None:
    whole = signed.read_bytes()
    at = int(start * len(whole))
    piece = whole[at : at + length]
    assert refused(whole[:at] + whole[at + length :])
    assert refused(whole[:at] + piece + whole[at:])
    assert refused(whole[:at] + data.draw(st.binary(min_size=1, max_size=600)) + whole[at:])


def test_every_truncation_at_a_block_is_refused(signed: Path) -> None:
    whole = signed.read_bytes()
    assert all(refused(whole[:size]) for size in range(0, len(whole), tar.BLOCK))


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_dropped_doubled_moved_and_renamed_entries_are_refused(
    signed: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    entries = read_entries(signed)
    one = data.draw(st.integers(0, len(entries) - 1))
    other = data.draw(st.integers(0, len(entries) - 1).filter(lambda n: n != one))
    dropped = entries[:one] + entries[one + 1 :]
    doubled = [*entries, entries[one]]
    moved = list(dropped)
    moved.insert(other, entries[one])
    renamed = list(entries)
    renamed[one] = (tar.blob_name("ab" * 32), entries[one][1])
    path = tmp_path_factory.mktemp("forged") / "forged.kolm"
    for forged in (dropped, doubled, moved, renamed):
        assert forged != entries
        with pytest.raises(KolmError):
            Bundle.open(write_tar(path, forged))
        assert _fails(path)


def _fails(path: Path) -> bool:
    try:
        return container_failures(path) != {}
    except KolmError:
        return True


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=3000))
def test_random_bytes_raise_nothing_but_our_errors(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("random") / "x.kolm"
    for content in (data, b"oci-layout\0" + data):
        path.write_bytes(content)
        assert _fails(path)
        with pytest.raises(KolmError):
            Bundle.open(path)


@settings(max_examples=100, deadline=None)
@given(blobs=st.lists(st.binary(max_size=400), max_size=5), index=st.binary(max_size=400))
def test_a_grammatical_tar_of_random_blobs_raises_nothing_but_our_errors(
    tmp_path_factory: pytest.TempPathFactory, blobs: list[bytes], index: bytes
) -> None:
    path = tmp_path_factory.mktemp("random") / "x.kolm"
    write_tar(path, [("oci-layout", layout.LAYOUT), ("index.json", index), *map(blob, blobs)])
    assert _fails(path)
    with pytest.raises(KolmError):
        Bundle.open(path)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=8) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_json_in_any_member_is_reported_and_never_crashes(
    signed: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    kinds = (ContentKind.DOCUMENT, ContentKind.LINES, ContentKind.PEFT_CONFIG)
    documents = [k.name for k in TABLE if k.content in kinds and not k.several]
    more = ["receipt.json", "checkpoint-00000004.json"]
    name = data.draw(st.sampled_from([*documents, *more]))
    text = json.dumps(data.draw(JSON_VALUES)).encode() + data.draw(st.sampled_from([b"", b"\n"]))
    bundle = Bundle.open(signed)
    members = {n: bytes(bundle.member(n)) for n in bundle.names} | {name: text}
    path = tmp_path_factory.mktemp("json") / "x.kolm"
    writer.seal(path, receipt=members.pop("receipt.json"), members=members)
    report = verify(path, Auditor(TrustStore(()), NOW))
    outcomes = {check.id: str(check.verdict) for check in report.checks}
    assert outcomes["V05"] == "ok"
    assert "failed" in (outcomes["V06"], outcomes["V07"], outcomes["V08"])


TENSORS = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(
        lambda n: n != "__metadata__"
    ),
    st.tuples(st.sampled_from(["U8", "F32", "BF16"]), st.lists(st.integers(0, 3), max_size=3)),
    max_size=5,
)


@given(TENSORS, st.randoms())
def test_tensors_survive_encoding_in_any_order(
    shapes: dict[str, tuple[str, list[int]]], random: object
) -> None:
    made = {}
    for name, (dtype, shape) in shapes.items():
        size = tensors.ELEMENT_BITS[dtype] // 8
        for dimension in shape:
            size *= dimension
        made[name] = (dtype, tuple(shape), bytes(i % 251 for i in range(size)))
    items = list(made.items())
    random.shuffle(items)  # type: ignore[attr-defined]
    data = tensor_writer.encode(dict(items))
    assert data == tensor_writer.encode(made)
    assert tensor_writer.canonicalise(data) == data
    found = {
        e.name: (e.dtype, e.shape, data[e.start : e.end])
        for e in tensors.parse_header(data, where="x")
    }
    assert found == made


@settings(max_examples=300)
@given(st.binary(max_size=300), st.binary(max_size=40))
def test_no_bytes_make_the_tensor_reader_raise_anything_else(header: bytes, rest: bytes) -> None:
    for data in (header, len(header).to_bytes(8, "little") + header + rest):
        with pytest.raises(Refused):
            tensors.parse_header(data, where="x")


@given(JSON_VALUES)
def test_no_json_header_makes_the_tensor_reader_raise_anything_else(value: object) -> None:
    header = json.dumps({"a": value}).encode()
    with pytest.raises(Refused):
        tensors.parse_header(len(header).to_bytes(8, "little") + header, where="x")


def test_packing_again_gives_the_same_bytes(signed: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(signed)
    members = {name: bytes(bundle.member(name)) for name in reversed(bundle.names)}
    receipt = members.pop("receipt.json")
    again = tmp_path / "again.kolm"
    content_id = writer.seal(again, receipt=receipt, members=members, claims=bundle.claims[::-1])
    assert again.read_bytes() == signed.read_bytes()
    assert content_id == bundle.content_id
    assert canonical.loads(bundle.manifest_bytes, where="m") == bundle.manifest
