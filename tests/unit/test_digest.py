"""Digests, Merkle roots and the number stream against independent constructions."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm import digest, file_digests
from kolm.errors import Refused


def recursive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as its text defines it."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    left, right = recursive_root(leaves[:split]), recursive_root(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


@given(st.lists(st.binary(max_size=8), max_size=40))
def test_merkle_root_is_that_of_the_rfc(leaves):
    assert digest.raw_of(digest.merkle_root(leaves)) == recursive_root(leaves)


def test_merkle_root_of_the_rfc_test_vector():
    # Certificate Transparency's published reference tree of eight leaves.
    leaves = [
        bytes.fromhex(h)
        for h in (
            "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        )
    ]  # fmt: skip
    root = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    assert digest.hex_of(digest.merkle_root(leaves)) == root


@given(st.binary())
def test_digest_is_sha256(data):
    found = digest.of_bytes(data)
    assert found == "sha256:" + hashlib.sha256(data).hexdigest()
    assert digest.parse(found, where="t") == found
    assert digest.of_hex(digest.hex_of(found)) == found


@pytest.mark.parametrize(
    "text", ["", "sha256:", "sha256:" + "A" * 64, "sha512:" + "0" * 64, "sha256:" + "0" * 65, None]
)
def test_other_forms_are_refused(text):
    with pytest.raises(Refused):
        digest.parse(text, where="t")


@pytest.mark.parametrize("cores", [1, 2])
def test_many_items_keep_their_order_on_any_number_of_cores(monkeypatch, cores):
    monkeypatch.setattr(file_digests.os, "sched_getaffinity", lambda _: set(range(cores)))
    items = [bytes([number]) * (1 << 20 >> number) for number in range(12)]
    assert file_digests.each(digest.of_bytes, items) == [digest.of_bytes(item) for item in items]


def test_an_error_in_one_item_is_the_error_of_all(monkeypatch):
    monkeypatch.setattr(file_digests.os, "sched_getaffinity", lambda _: {0, 1})
    with pytest.raises(Refused) as caught:
        file_digests.each(lambda text: digest.parse(text, where=text), [digest.EMPTY, "x", "y"])
    assert caught.value.where == "x"


def test_file_and_bytes_agree(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"x" * 3_000_000)
    assert file_digests.of_file(path) == digest.of_bytes(b"x" * 3_000_000)


def test_stream_is_the_documented_construction():
    seed = digest.of_bytes(b"seed")
    block = hashlib.sha256(digest.raw_of(seed) + (0).to_bytes(8, "little")).digest()
    stream = digest.Stream(seed)
    words = [stream.uint32() for _ in range(9)]
    assert words[:8] == [int.from_bytes(block[i : i + 4], "little") for i in range(0, 32, 4)]
    following = hashlib.sha256(digest.raw_of(seed) + (1).to_bytes(8, "little")).digest()
    assert words[8] == int.from_bytes(following[:4], "little")


@given(st.integers(1, 2**32), st.binary(min_size=1, max_size=4))
def test_below_stays_below(bound, label):
    stream = digest.Stream(digest.of_bytes(label))
    assert all(0 <= stream.below(bound) < bound for _ in range(5))


def test_below_is_even():
    stream = digest.Stream(digest.of_bytes(b"even"))
    counts = [0] * 6
    for _ in range(6000):
        counts[stream.below(6)] += 1
    assert min(counts) > 880
    assert max(counts) < 1120


@given(st.lists(st.integers()))
def test_shuffle_keeps_the_items(items):
    shuffled = list(items)
    digest.Stream(digest.of_bytes(b"s")).shuffle(shuffled)
    assert sorted(shuffled) == sorted(items)


def test_derived_seeds_differ_by_label_and_part():
    a, b = digest.of_bytes(b"a"), digest.of_bytes(b"b")
    seeds = {digest.derive("x", a), digest.derive("y", a), digest.derive("x", b)}
    assert len(seeds) == 3
