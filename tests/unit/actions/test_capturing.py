"""What a notebook does with captures: the functions behind ``kolm capture``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image as Pillow

from kolm.actions import capturing, stored_captures
from kolm.capture import snapshot as snapshots
from kolm.errors import Denied, Refused, Unreadable
from kolm.events import Silent
from tests.support.pictures import picture


class Told(Silent):
    """A reporter that keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warned(self, message: str) -> None:
        self.warnings.append(message)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    for number in range(12):
        (tmp_path / f"{number}.png").write_bytes(picture(number))
    lines = [
        {"image": f"{number}.png", "prompt": "what?", "response": f"number {number}",
         "split": "eval" if number < 4 else "train", "tags": ["odd"] if number % 2 else []}
        for number in range(12)
    ]  # fmt: skip
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


def test_an_image_is_added_in_whatever_form_python_has_it(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(picture(1))
    forms: list[object] = [
        str(tmp_path / "1.png"),
        tmp_path / "1.png",
        picture(1),
        Pillow.new("RGB", (8, 8), "red"),
    ]
    for number, image in enumerate(forms):
        added = capturing.add_capture(
            tmp_path / "store", images=[image], prompt="what?", response=f"answer {number}"
        )
        assert (added.taken.captures, added.total) == (1, number + 1)
    assert stored_captures.count_captures(tmp_path / "store")["images"] == 2


def test_an_image_that_is_missing_makes_no_store(tmp_path: Path) -> None:
    for image in (tmp_path / "none.png", str(tmp_path / "none.png")):
        with pytest.raises(Unreadable):
            capturing.add_capture(tmp_path / "store", images=[image], prompt="?", response="!")
    assert not (tmp_path / "store").exists()


def test_bad_rows_are_refused_or_listed(rows: Path, tmp_path: Path) -> None:
    with rows.open("a") as stream:
        stream.write('\n{"prompt": "no answer"}')
    store, told = tmp_path / "store", Told()
    with pytest.raises(Refused):
        capturing.import_captures(rows, store=store)
    done = capturing.import_captures(rows, store=store, skip_bad=True, reporter=told)
    assert (done.taken.captures, done.total) == (12, 12)
    assert done.refused_file == store / "refused" / "pairs.jsonl"
    assert json.loads(done.refused_file.read_text())["where"] == "pairs.jsonl:13"
    assert told.warnings == [f"1 bad row left out; see {done.refused_file}"]


def test_captures_are_listed_by_row_shown_exported_and_removed(rows: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    capturing.import_captures(rows, store=store)
    listed = stored_captures.list_captures(store)
    assert [row["name"] for row in listed] == [f"pairs.jsonl:{number}" for number in range(1, 13)]
    assert len(stored_captures.list_captures(store, tags=["odd"])) == 6
    shown = stored_captures.show_capture("pairs.jsonl:3", store=store)
    assert shown["id"] == listed[2]["id"]
    assert [Path(file).read_bytes() for file in shown["image_files"]] == [picture(2)]

    done = capturing.export_captures(tmp_path / "out.jsonl", store=store, tags=["odd"])
    assert (done.captures, done.images) == (6, 6)

    names = ["pairs.jsonl:1", listed[1]["id"]]
    left = {"store": str(store), "captures": 2, "images": 2, "total": 10}
    assert stored_captures.remove_captures(names, store=str(store)) == left
    with pytest.raises(Unreadable):
        stored_captures.remove_captures(["pairs.jsonl:5", "pairs.jsonl:1"], store=store)
    whole = {"store": str(store), "captures": 10, "image_files": 10}
    assert stored_captures.verify_captures(store) == whole
    counts = stored_captures.count_captures(store)
    assert (counts["splits"], counts["tags"]) == ({"eval": 2, "train": 8}, {"odd": 5})


def test_a_snapshot_that_cannot_be_kept_is_told(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, told = tmp_path / "store", Told()
    capturing.import_captures(rows, store=store)
    kept = capturing.take_snapshot(store, validation="0.25")
    assert kept.folder is not None
    assert (kept.folder / "snapshot.json").read_bytes() == kept.snapshot.header_bytes

    def refuse(*_: object) -> Path:
        raise Denied("E_CANNOT_WRITE", "the folder may not be written")

    monkeypatch.setattr(snapshots, "keep", refuse)
    again = capturing.take_snapshot(store, validation="0.25", reporter=told)
    assert (again.folder, again.snapshot.digest) == (None, kept.snapshot.digest)
    assert told.warnings == [
        "the snapshot is not kept: the folder may not be written [E_CANNOT_WRITE]"
    ]
