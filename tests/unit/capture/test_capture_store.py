"""The store keeps captures whole, checks what it reads, and knows its own versions."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from kolm import digest
from kolm.capture import database, documents
from kolm.capture.store import CaptureStore
from kolm.errors import Refused, Unreadable
from kolm.records.capture import Image
from tests.support.pictures import capture, facts, filled, picture


def test_captures_come_back_by_id_and_in_order(tmp_path: Path) -> None:
    values = [capture(n, prompt=f"{n}?") for n in range(5)]
    with filled(tmp_path, *values) as store:
        rows = list(store.rows())
        assert [row.id for row in rows] == sorted(documents.seal(v, where="").id for v in values)
        assert {row.capture.messages for row in rows} == {value.messages for value in values}
        assert store.read(rows[2].id) == rows[2]
        assert store.read_image(facts(3).file) == picture(3)
        assert store.verify() == (5, 5)
        assert len(store) == 5


def test_rows_can_be_chosen_by_tags(tmp_path: Path) -> None:
    values = [capture(0, tags=("a",)), capture(1, tags=("a", "b")), capture(2)]
    with filled(tmp_path, *values) as store:
        assert len(list(store.rows(tags=["a"]))) == 2
        assert [row.capture.tags for row in store.rows(tags=["b", "a"])] == [("a", "b")]


def test_a_capture_needs_the_file_of_its_image(tmp_path: Path) -> None:
    with CaptureStore.open(tmp_path, create=True) as store:
        with pytest.raises(Refused) as caught:
            store.add([capture(0)])
        assert caught.value.code == "E_STORE_NO_IMAGE"
        store.add([capture(0)], [picture(0)])
        store.add([capture(0, prompt="again?")])
        assert len(store) == 2


def test_a_capture_cannot_say_something_else_of_an_image(tmp_path: Path) -> None:
    honest = facts(0)
    lie = Image(**{**{f: getattr(honest, f) for f in Image.__slots__}, "width": 999})
    with CaptureStore.open(tmp_path, create=True) as store:
        with pytest.raises(Refused) as caught:
            store.add([capture(0, images=(lie,))], [picture(0)])
        assert caught.value.code == "E_STORE_NO_IMAGE"
        assert len(store) == 0


def test_an_image_that_no_capture_shows_is_not_kept(tmp_path: Path) -> None:
    with CaptureStore.open(tmp_path, create=True) as store:
        store.add([capture(0)], [picture(0), picture(1)])
        assert list(store.blobs.names()) == [facts(0).file]
        assert set(store.image_records()) == {facts(0).file}


def test_a_store_that_is_not_there_is_unreadable_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(Unreadable) as caught:
        CaptureStore.open(tmp_path / "none")
    assert caught.value.code == "E_STORE_MISSING"
    assert not (tmp_path / "none").exists()


def test_a_newer_store_is_unreadable(tmp_path: Path) -> None:
    filled(tmp_path, capture(0)).close()
    with sqlite3.connect(tmp_path / "captures.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(Unreadable) as caught:
        CaptureStore.open(tmp_path)
    assert caught.value.code == "E_STORE_VERSION"


@pytest.mark.parametrize("create", [True, False])
def test_other_files_are_no_store(tmp_path: Path, create: bool) -> None:
    (tmp_path / "captures.db").write_bytes(b"no database, but long enough to look like one" * 40)
    with pytest.raises(Unreadable) as caught:
        CaptureStore.open(tmp_path, create=create)
    assert caught.value.code == "E_STORE_NOT_A_STORE"


def test_another_program_s_database_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "captures.db") as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(Unreadable) as caught:
        CaptureStore.open(tmp_path, create=True)
    assert caught.value.code == "E_STORE_NOT_A_STORE"


def test_a_row_that_was_changed_is_refused(tmp_path: Path) -> None:
    with filled(tmp_path, capture(0)) as store:
        store._connection.execute(
            "UPDATE captures SET document = replace(document, 'this', 'that')"
        )
        with pytest.raises(Refused) as caught:
            list(store.rows())
        assert caught.value.code == "E_STORE_DAMAGED"


def test_a_row_that_hashes_but_is_no_capture_is_refused(tmp_path: Path) -> None:
    data = b'{"images":[]}'
    with filled(tmp_path, capture(0)) as store:
        store._connection.execute(
            "INSERT INTO captures VALUES (?, ?)", (digest.raw_of(digest.of_bytes(data)), data)
        )
        with pytest.raises(Refused) as caught:
            list(store.rows())
        assert caught.value.code == "E_STORE_DAMAGED"


def test_a_missing_blob_is_found(tmp_path: Path) -> None:
    with filled(tmp_path, capture(0)) as store:
        store.blobs.path(facts(0).file).unlink()
        with pytest.raises(Refused) as caught:
            store.verify()
        assert caught.value.code == "E_STORE_DAMAGED"


def test_a_missing_capture_is_unreadable(tmp_path: Path) -> None:
    with filled(tmp_path, capture(0)) as store, pytest.raises(Unreadable) as caught:
        store.read(digest.EMPTY)
    assert caught.value.code == "E_STORE_NO_CAPTURE"


def test_a_busy_store_says_so_after_waiting(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    with filled(tmp_path, capture(0)) as holder, CaptureStore.open(tmp_path) as waiter:
        holder._connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unreadable) as caught:
            waiter.add([capture(0, prompt="x?")])
        assert caught.value.code == "E_STORE_BUSY"
        holder._connection.execute("ROLLBACK")


def test_a_reader_goes_on_while_a_writer_commits(tmp_path: Path) -> None:
    values = [capture(0, prompt=f"{n}?") for n in range(4)]
    with filled(tmp_path, *values) as writer, CaptureStore.open(tmp_path) as reader:
        rows = reader.rows()
        next(rows)
        writer.add([capture(0, prompt="new?")])
        assert len(list(rows)) == 3
        assert len(list(reader.rows())) == 5


def test_stats_count_what_is_there(tmp_path: Path) -> None:
    values = [
        capture(0, split="train", tags=("a",), license="MIT"),
        capture(0, 1, split="eval", tags=("a", "b")),
        capture(),
    ]
    with filled(tmp_path, *values) as store:
        found = store.stats()
    assert found == {
        "captures": 3,
        "several_turns": 0,
        "images": 2,
        "pictures": 2,
        "image_bytes": len(picture(0)) + len(picture(1)),
        "media_types": {"image/png": 2},
        "splits": {"train": 1, "eval": 1, "none": 1},
        "sources": {"test: rows": 3},
        "licenses": {"MIT": 1, "not stated": 2},
        "tags": {"a": 2, "b": 1},
    }
