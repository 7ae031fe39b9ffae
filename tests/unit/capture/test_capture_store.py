"""The store keeps captures whole, checks what it reads, and knows its own versions."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from kolm import digest
from kolm.actions.stored_captures import count_captures
from kolm.capture import database, documents
from kolm.capture.store import CaptureStore
from kolm.errors import Refused, Unreadable
from tests.support.pictures import capture, facts, filled, picture
from tests.support.stores import add


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
            add(store, [capture(0)])
        assert caught.value.code == "E_STORE_NO_IMAGE"
        add(store, [capture(0)], [picture(0)])
        add(store, [capture(0, prompt="again?")])
        assert len(store) == 2


def test_a_capture_cannot_say_something_else_of_an_image(tmp_path: Path) -> None:
    honest = facts(0)
    lie = honest._replace(width=999)
    with CaptureStore.open(tmp_path, create=True) as store:
        with pytest.raises(Refused) as caught:
            add(store, [capture(0, images=(lie,))], [picture(0)])
        assert caught.value.code == "E_STORE_NO_IMAGE"
        assert len(store) == 0


def test_an_image_that_no_capture_shows_is_not_kept(tmp_path: Path) -> None:
    with CaptureStore.open(tmp_path, create=True) as store:
        add(store, [capture(0)], [picture(0), picture(1)])
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


ENDLESS = (
    "CREATE VIEW captures(id, document) AS WITH RECURSIVE r(n) AS "
    "(SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT x'00', x'00' FROM r WHERE n < 0"
)


@pytest.mark.parametrize(
    "change",
    [
        ("DROP TABLE captures", ENDLESS),
        ("CREATE TABLE theirs (x)",),
        ("CREATE TRIGGER t AFTER INSERT ON images BEGIN SELECT 1; END",),
        ("DROP TABLE captures", "CREATE TABLE captures (id, document)"),
        ("DROP TABLE images", "CREATE TABLE images (file UNIQUE)"),
        ("CREATE INDEX i ON captures (document)",),
    ],
    ids=["view", "table", "trigger", "columns", "unique", "index"],
)
@pytest.mark.parametrize("opened", [CaptureStore.open, CaptureStore.open_to_read])
def test_a_store_of_other_tables_is_none(
    tmp_path: Path, change: tuple[str, ...], opened: Callable[[Path], CaptureStore]
) -> None:
    filled(tmp_path, capture(0)).close()
    with sqlite3.connect(tmp_path / "captures.db") as connection:
        for statement in change:
            connection.execute(statement)
    connection.close()
    with pytest.raises(Unreadable) as caught:
        opened(tmp_path)
    assert caught.value.code == "E_STORE_NOT_A_STORE"


def test_a_tree_that_names_a_page_twice_is_damaged(tmp_path: Path) -> None:
    values = [capture(n % 40, prompt=f"{n}?") for n in range(400)]
    filled(tmp_path, *values).close()
    with sqlite3.connect(tmp_path / "captures.db") as connection:
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        root = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'captures'"
        ).fetchone()[0]
    connection.close()
    with (tmp_path / "captures.db").open("r+b") as stream:
        stream.seek((root - 1) * size)
        page = bytearray(stream.read(size))
        assert page[0] == 2  # an interior page of an index: its cells begin with a child
        first, second = (int.from_bytes(page[12 + 2 * n : 14 + 2 * n]) for n in range(2))
        page[second : second + 4] = page[first : first + 4]
        stream.seek((root - 1) * size)
        stream.write(page)
    with CaptureStore.open_to_read(tmp_path) as store, pytest.raises(Refused) as caught:
        list(store.rows())
    assert caught.value.code == "E_STORE_DAMAGED"


def test_a_row_of_any_length_is_not_read(tmp_path: Path) -> None:
    with filled(tmp_path, capture(0)) as store:
        store._connection.execute("INSERT INTO captures VALUES (x'ff', zeroblob(100000000))")
    with CaptureStore.open_to_read(tmp_path) as store, pytest.raises(Unreadable) as caught:
        list(store.rows())
    assert caught.value.code == "E_STORE_IO"


@pytest.mark.parametrize("endings", [("",), ("", "-wal"), ("", "-wal", "-shm"), ("", "-shm")])
def test_a_copied_store_is_read_also_from_a_folder_that_cannot_be_written(
    tmp_path: Path, endings: tuple[str, ...]
) -> None:
    values = [capture(0, prompt=f"{n}?") for n in range(3)]
    theirs, copy = tmp_path / "theirs", tmp_path / "copy"
    copy.mkdir()
    store = filled(theirs, *values)
    left = {ending: (theirs / f"captures.db{ending}").read_bytes() for ending in endings}
    store.close()
    if "-wal" not in endings:  # copied when nobody had it open: the file is whole
        left[""] = (theirs / "captures.db").read_bytes()
    for ending, data in left.items():
        (copy / f"captures.db{ending}").write_bytes(data)
    copy.chmod(0o555)
    with CaptureStore.open_to_read(copy) as read:
        assert len(list(read.rows())) == 3
        with pytest.raises(sqlite3.OperationalError):
            read._connection.execute("DELETE FROM captures")
    copy.chmod(0o755)
    assert {path.name for path in copy.iterdir()} == {f"captures.db{ending}" for ending in endings}
    assert (copy / "captures.db").read_bytes() == left[""]


def test_a_store_that_is_being_written_is_read(tmp_path: Path) -> None:
    values = [capture(0, prompt=f"{n}?") for n in range(4)]
    with filled(tmp_path, *values) as writer, CaptureStore.open_to_read(tmp_path) as reader:
        rows = reader.rows()
        next(rows)
        add(writer, [capture(0, prompt="new?")])
        assert len(list(rows)) == 3
        assert len(list(reader.rows())) == 5


@pytest.mark.parametrize("data", [b"", b"no database, but long enough to look like one" * 40])
def test_reading_no_store_makes_none(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Unreadable) as caught:
        CaptureStore.open_to_read(tmp_path)
    assert caught.value.code == "E_STORE_MISSING"
    (tmp_path / "captures.db").write_bytes(data)
    with pytest.raises(Unreadable):
        CaptureStore.open_to_read(tmp_path)
    assert (tmp_path / "captures.db").read_bytes() == data


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
            add(waiter, [capture(0, prompt="x?")])
        assert caught.value.code == "E_STORE_BUSY"
        holder._connection.execute("ROLLBACK")


def test_a_reader_goes_on_while_a_writer_commits(tmp_path: Path) -> None:
    values = [capture(0, prompt=f"{n}?") for n in range(4)]
    with filled(tmp_path, *values) as writer, CaptureStore.open(tmp_path) as reader:
        rows = reader.rows()
        next(rows)
        add(writer, [capture(0, prompt="new?")])
        assert len(list(rows)) == 3
        assert len(list(reader.rows())) == 5


def test_stats_count_what_is_there(tmp_path: Path) -> None:
    values = [
        capture(0, split="train", tags=("a",), license="MIT"),
        capture(0, 1, split="eval", tags=("a", "b"), rejected="it"),
        capture(),
    ]
    with filled(tmp_path, *values):
        found = count_captures(tmp_path)
    assert found == {
        "store": str(tmp_path),
        "captures": 3,
        "several_turns": 0,
        "pairs": {"captures": 1, "corrected": 0, "longer": 1},
        "images": 2,
        "pictures": 2,
        "image_bytes": len(picture(0)) + len(picture(1)),
        "media_types": {"image/png": 2},
        "splits": {"train": 1, "eval": 1, "none": 1},
        "sources": {"test: rows": 3},
        "licenses": {"MIT": 1, "not stated": 2},
        "tags": {"a": 2, "b": 1},
    }


def test_a_store_of_the_first_version_is_read_and_gets_names_when_it_is_written(
    tmp_path: Path,
) -> None:
    with filled(tmp_path, capture(0)):
        pass
    plain = sqlite3.connect(tmp_path / "captures.db")
    plain.execute("DROP TABLE origins")
    plain.execute("PRAGMA user_version = 1")
    plain.commit()
    plain.close()
    with CaptureStore.open_to_read(tmp_path) as store:
        assert (len(store), store.names()) == (1, {})
    with CaptureStore.open(tmp_path) as store, store.adding() as addition:
        addition.image(picture(1))
        added = addition.capture(capture(1), origin="pairs.jsonl:1")
        addition.commit()
        assert store.names() == {added: "pairs.jsonl:1"}


def test_an_addition_notices_that_its_image_was_removed(tmp_path: Path) -> None:
    with filled(tmp_path, capture(0)) as store, store.adding() as addition:
        addition.image(picture(0))
        addition.capture(capture(0, prompt="else?"))
        with CaptureStore.open(tmp_path) as other:
            [row] = list(other.rows())
            assert other.remove([row.id]).images == 1
        with pytest.raises(Unreadable) as caught:
            addition.commit()
        assert caught.value.code == "E_STORE_CHANGED"
        assert len(store) == 0


def test_names_that_say_more_than_a_line_are_not_shown(tmp_path: Path) -> None:
    with filled(tmp_path, capture(0)) as store:
        [row] = list(store.rows())
    plain = sqlite3.connect(tmp_path / "captures.db")
    plain.execute("INSERT INTO origins VALUES (?, ?)", (digest.raw_of(row.id), "a\nb\x1b[2J"))
    plain.commit()
    plain.close()
    with CaptureStore.open_to_read(tmp_path) as store:
        assert store.names() == {}


def test_what_was_read_while_somebody_wrote_is_not_taken_for_the_store(tmp_path: Path) -> None:
    filled(tmp_path, *(capture(0, prompt=f"{n}?") for n in range(4))).close()
    with CaptureStore.open_to_read(tmp_path) as reader:  # without locks: nobody has it open
        assert len(reader) == 4
        rows = reader.rows()
        next(rows)
        with CaptureStore.open(tmp_path) as writer:
            add(writer, [capture(0, prompt="new?")])
        for read in (lambda: list(rows), lambda: len(reader), reader.image_records):
            with pytest.raises(Unreadable) as caught:
                read()
            assert caught.value.code == "E_STORE_CHANGED"
    with CaptureStore.open_to_read(tmp_path) as reader:
        assert len(reader) == 5
