"""A snapshot is a function of the captures and the rule, and never changes once kept."""

from __future__ import annotations

import stat
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest
from PIL import Image as Pillow

from kolm import canonical, digest, schema, whole_schema
from kolm.capture import images, likeness, snapshot
from kolm.capture.store import CaptureStore
from kolm.errors import Refused
from kolm.format.split import SplitRule
from tests.support.pictures import capture, filled, picture, saved
from tests.support.stores import add

HASH = SplitRule(kind="hash", eval=Decimal("0.2"), validation=Decimal("0.1"))
VALUES = [capture(n % 30, prompt=f"{n}?") for n in range(90)]


def test_the_same_captures_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    with filled(tmp_path / "a", *VALUES) as one, filled(tmp_path / "b", *VALUES[::-1]) as two:
        left, right = snapshot.take(one, HASH), snapshot.take(two, HASH)
        assert left.files() == right.files()
        assert snapshot.keep(one, left).name == snapshot.keep(two, right).name


def test_a_snapshot_fits_its_schemas_and_its_own_counts(tmp_path: Path) -> None:
    with filled(tmp_path, *VALUES) as store:
        taken = snapshot.take(store, HASH)
        header = canonical.loads_canonical(taken.header_bytes, where="header")
        schema.check("snapshot", header, where="header")
        jsonschema.Draft202012Validator(whole_schema.load("snapshot")).validate(header)
        assert header == taken.header
        files = taken.files()
        rows = [row for _, _, row in canonical.read_lines(files["snapshot.jsonl"], where="rows")]
        for row, record in zip(rows, taken.rows, strict=True):
            schema.check("snapshot_row", row, where="row")
            assert row == record.document()
        assert [row["capture"] for row in rows] == sorted(row["capture"] for row in rows)
        assert header["root"] == digest.merkle_root(taken.lines)
        assert header["captures"] == len(rows) == 90
        assert header["images"] == 30
        for side in ("train", "validation", "eval"):
            mine = [row for row in rows if row["split"] == side]
            assert header["splits"][side]["captures"] == len(mine)
        cases = [line for _, line, _ in canonical.read_lines(files["evalcases.jsonl"], where="c")]
        eval_ids = [row["capture"] for row in rows if row["split"] == "eval"]
        assert [digest.of_bytes(line) for line in cases] == eval_ids
        assert [store.read(digest.Digest(i)).data for i in eval_ids] == cases


def test_an_official_split_carves_validation_out_of_train(tmp_path: Path) -> None:
    values = [capture(n, split="eval" if n < 10 else "train") for n in range(40)]
    with filled(tmp_path, *values) as store:
        taken = snapshot.take(store, SplitRule(validation=Decimal("0.1")))
    assert taken.header["rule"] == {"kind": "official", "validation": "0.1"}
    sides = taken.header["splits"]
    counts = {side: sides[side]["captures"] for side in ("train", "validation", "eval")}
    assert counts == {"train": 27, "validation": 3, "eval": 10}


def test_an_official_validation_side_is_kept_and_the_rule_says_that_none_was_carved(
    tmp_path: Path,
) -> None:
    sides = ["eval", "validation", "train", "train"]
    values = [capture(n, split=side) for n, side in enumerate(sides)]
    with filled(tmp_path, *values) as store:
        taken = snapshot.take(store, SplitRule(validation=Decimal("0.5")))
    assert taken.header["rule"] == {"kind": "official", "validation": "0"}
    assert taken.header["splits"]["train"]["captures"] == 2


def twins(folder: Path, third: str = "train", second: str = "train") -> CaptureStore:
    """A store in which an eval picture has a near twin on the second side."""
    smooth = Pillow.linear_gradient("L").resize((40, 30)).convert("RGB")
    files = [saved(smooth), saved(smooth, "JPEG", quality=90), picture(0)]
    found = [images.inspect(data) for data in files]
    assert found[0].pixels != found[1].pixels
    store = CaptureStore.open(folder, create=True)
    names = ["eval", second, third]
    values = [
        capture(0, images=(image,), split=side) for image, side in zip(found, names, strict=True)
    ]
    add(store, values, files)
    return store


LEARNED = pytest.mark.parametrize("side", ["train", "validation"])


@LEARNED
def test_near_duplicates_across_sides_are_counted(tmp_path: Path, side: str) -> None:
    with twins(tmp_path, second=side) as store:
        taken = snapshot.take(store, SplitRule(validation=Decimal(0)))
    assert taken.header["near_duplicates"] == {
        "across_splits": 1,
        "dropped": 0,
        "method": likeness.METHOD,
        "policy": "report",
    }


def test_near_duplicates_are_refused_with_their_names_when_asked(tmp_path: Path) -> None:
    with twins(tmp_path) as store, pytest.raises(Refused) as caught:
        snapshot.take(store, SplitRule(validation=Decimal(0), near_duplicates="refuse"))
    assert caught.value.code == "E_SNAPSHOT_NEAR_DUPLICATES"
    assert caught.value.message == "1 eval image with a near twin in train or validation"
    side, left, _, right = caught.value.found.split()
    assert side == "eval"
    with twins(tmp_path) as store:
        assert left != right
        assert {left, right} <= {row.id for row in store.rows()}
    assert "kolm capture show" in caught.value.hint


@LEARNED
def test_a_capture_with_a_near_twin_can_be_dropped(tmp_path: Path, side: str) -> None:
    with twins(tmp_path, second=side) as store:
        taken = snapshot.take(store, SplitRule(validation=Decimal(0), near_duplicates="drop"))
    header = taken.header
    near = header["near_duplicates"]
    assert sorted(row.split for row in taken.rows) == ["eval", "none", "train"]
    assert (near["dropped"], near["across_splits"]) == (1, 0)
    assert header["splits"]["none"] == {"captures": 1, "images": 1}
    jsonschema.validate(header, whole_schema.load("snapshot"))


def test_dropping_all_that_trains_is_refused(tmp_path: Path) -> None:
    with twins(tmp_path, third="eval") as store, pytest.raises(Refused) as caught:
        snapshot.take(store, SplitRule(validation=Decimal(0), near_duplicates="drop"))
    assert caught.value.code == "E_SNAPSHOT_EMPTY_SIDE"


def test_near_twins_can_be_kept_on_one_side(tmp_path: Path) -> None:
    rule = SplitRule(
        kind="hash", eval=Decimal("0.3"), validation=Decimal(0), near_duplicates="group"
    )
    with twins(tmp_path) as store:
        taken = snapshot.take(store, rule)
    named = {row.images[0][2] for row in taken.rows}
    assert len(named) == 2
    sides = {name: {r.split for r in taken.rows if r.images[0][2] == name} for name in named}
    assert all(len(side) == 1 for side in sides.values())
    for line in taken.lines:
        jsonschema.validate(canonical.loads(line, where="line"), whole_schema.load("snapshot_row"))


def test_the_same_picture_in_two_files_is_on_two_sides(tmp_path: Path) -> None:
    one = Pillow.new("RGB", (5, 5), "red")
    files = [saved(one, compress_level=0), saved(one, compress_level=9)]
    found = [images.inspect(data) for data in files]
    values = [
        capture(0, images=(i,), split=s) for i, s in zip(found, ["eval", "train"], strict=True)
    ]
    with CaptureStore.open(tmp_path, create=True) as store:
        add(store, values, files)
        with pytest.raises(Refused) as caught:
            snapshot.take(store, SplitRule())
    assert caught.value.code == "E_SNAPSHOT_IMAGE_ON_TWO_SIDES"
    assert found[0].pixels in caught.value.found


def test_contradictions_stop_a_snapshot(tmp_path: Path) -> None:
    rows = (*VALUES, capture(0, prompt="0?", response="that"))
    with filled(tmp_path, *rows) as store, pytest.raises(Refused) as caught:
        snapshot.take(store, HASH)
    assert caught.value.code == "E_CAPTURE_CONTRADICTION"


def test_an_empty_store_has_no_snapshot(tmp_path: Path) -> None:
    with CaptureStore.open(tmp_path, create=True) as store, pytest.raises(Refused) as caught:
        snapshot.take(store, HASH)
    assert caught.value.code == "E_SNAPSHOT_EMPTY"


def test_a_kept_snapshot_is_read_only_and_kept_once(tmp_path: Path) -> None:
    with filled(tmp_path, *VALUES) as store:
        taken = snapshot.take(store, HASH)
        folder = snapshot.keep(store, taken)
        assert snapshot.keep(store, taken) == folder
        assert folder.name == digest.hex_of(taken.digest)[:16]
        assert sorted(path.name for path in folder.iterdir()) == [
            "evalcases.jsonl", "snapshot.json", "snapshot.jsonl",
        ]  # fmt: skip
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o444}
        assert [path.name for path in folder.parent.iterdir()] == [folder.name]
        for name, data in taken.files().items():
            assert (folder / name).read_bytes() == data


def test_a_kept_snapshot_that_was_changed_is_refused(tmp_path: Path) -> None:
    with filled(tmp_path, *VALUES) as store:
        taken = snapshot.take(store, HASH)
        folder = snapshot.keep(store, taken)
        (folder / "snapshot.json").chmod(0o644)
        (folder / "snapshot.json").write_bytes(b"{}")
        with pytest.raises(Refused) as caught:
            snapshot.keep(store, taken)
    assert caught.value.code == "E_SNAPSHOT_CHANGED"


def test_later_captures_do_not_change_a_kept_snapshot(tmp_path: Path) -> None:
    with filled(tmp_path, *VALUES) as store:
        folder = snapshot.keep(store, snapshot.take(store, HASH))
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        add(store, [capture(31)], [picture(31)])
        other = snapshot.keep(store, snapshot.take(store, HASH))
    assert other != folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_shares_that_pass_over_the_rows_own_sides_are_told(tmp_path: Path) -> None:
    stated = [capture(n, split="eval" if n % 3 else "train") for n in range(30)]
    official = SplitRule(kind="official", validation=Decimal(0))
    with filled(tmp_path / "stated", *stated, capture(30)) as store:
        told = snapshot.take(store, HASH).told()
        assert told is not None
        assert "30 captures" in told
        store.remove([row.id for row in store.rows() if row.capture.split is None])
        assert snapshot.take(store, official).told() is None
    with filled(tmp_path / "none", *VALUES) as store:
        assert snapshot.take(store, HASH).told() is None
