"""CIDs: ours equal those of the multiformats library, in both directions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multiformats import CID

from kolm import digest
from kolm.bundle.cid import cid_of
from kolm.bundle.cid_reader import digest_of
from kolm.errors import Refused

HELLO = (
    "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"  # ipfs add --raw-leaves: hello
)


def test_a_cid_that_ipfs_gives_for_known_bytes() -> None:
    assert cid_of(digest.of_bytes(b"hello")) == HELLO


@given(st.binary(min_size=32, max_size=32))
def test_both_directions_agree_with_multiformats(raw: bytes) -> None:
    content = digest.of_hex(raw.hex())
    theirs = CID("base32", 1, "raw", ("sha2-256", raw))
    assert cid_of(content) == str(theirs)
    assert digest_of(str(theirs)) == content


@pytest.mark.parametrize("base", ["base58btc", "base16", "base36", "base64url", "base32upper"])
def test_foreign_spellings_are_read(base: str) -> None:
    raw = digest.raw_of(digest.of_bytes(b"hello"))
    assert digest_of(str(CID(base, 1, "raw", ("sha2-256", raw)))) == digest.of_bytes(b"hello")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "b",
        "bafkrei",
        "sha256:" + "0" * 64,
        "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",  # version 0
        str(CID("base32", 1, "dag-pb", ("sha2-256", bytes(32)))),
        str(CID("base32", 1, "raw", ("sha2-512", bytes(64)))),
        HELLO[:-1] + "r",  # unused bits of the last digit set
        HELLO + " ",
        "z" * 5000,
        "\x00",
        "é",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        digest_of(text)
    assert refused.value.code == "E_CID"


@given(st.text(max_size=80))
def test_no_text_does_anything_but_refuse(text: str) -> None:
    with pytest.raises(Refused):
        digest_of(text)
