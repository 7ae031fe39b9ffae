"""A pack is what a snapshot has as its eval side, and is called by the same root."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from kolm.capture import packs, snapshot
from kolm.errors import Refused
from kolm.format.split import SplitRule
from tests.support.pictures import capture, filled

CASES = [capture(n, prompt=f"{n}?", split="eval") for n in range(6)]
OWN = [capture(n, prompt=f"{n}?", split="train") for n in range(10, 30)]


def test_the_root_of_a_pack_is_that_of_the_eval_side_it_becomes(tmp_path: Path) -> None:
    with filled(tmp_path / "pack", *CASES) as alone, filled(tmp_path / "all", *OWN, *CASES) as both:
        pack = packs.pack_of(alone)
        assert pack.captures == pack.images == 6
        assert snapshot.take(both, SplitRule()).pack_root == pack.root
        assert packs.root_of(alone.rows()) == pack.root


def test_one_case_more_or_less_is_another_pack(tmp_path: Path) -> None:
    with filled(tmp_path / "all", *CASES) as whole, filled(tmp_path / "some", *CASES[1:]) as part:
        assert packs.pack_of(whole).root != packs.pack_of(part).root


@pytest.mark.parametrize(
    ("code", "more"),
    [
        ("E_PACK_SIDE", capture(7, split="train")),
        ("E_PACK_SIDE", capture(7)),
        ("E_CAPTURE_CONTRADICTION", capture(0, prompt="0?", response="that", split="eval")),
        ("E_CAPTURE_REPEATED", capture(0, prompt="0?", split="eval", tags=("again",))),
    ],
)
def test_what_no_eval_side_could_be_is_no_pack(tmp_path: Path, code: str, more: object) -> None:
    with filled(tmp_path, *CASES, more) as store, pytest.raises(Refused) as caught:  # type: ignore[arg-type]
        packs.pack_of(store)
    assert caught.value.code == code


def test_an_empty_store_is_no_pack(tmp_path: Path) -> None:
    with filled(tmp_path) as store, pytest.raises(Refused) as caught:
        packs.pack_of(store)
    assert caught.value.code == "E_SNAPSHOT_EMPTY"


@pytest.mark.parametrize(
    "rule", [SplitRule(kind="hash", eval=Decimal("0.3")), SplitRule(validation=Decimal("0.2"))]
)
def test_a_buyers_nonce_draws_another_split_and_the_header_says_so(
    tmp_path: Path, rule: SplitRule
) -> None:
    with filled(tmp_path, *OWN, *CASES) as store:
        plain = snapshot.take(store, rule)
        drawn = {n: snapshot.take(store, rule._replace(nonce=n * 32)) for n in ("00", "5e")}
        assert "nonce" not in plain.header["rule"]
        for nonce, taken in drawn.items():
            assert taken.header["rule"].get("nonce") == nonce * 32
        assert len({taken.lines for taken in (plain, *drawn.values())}) == 3
