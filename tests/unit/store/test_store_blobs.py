"""The blob store keeps bytes under their digest, and only whole ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolm import digest
from kolm.errors import Lacking, Refused, Unreadable
from kolm.store import blobs
from kolm.store.blobs import BlobStore
from tests.support.stores import put


@settings(max_examples=25)
@given(st.lists(st.binary(max_size=200), max_size=6))
def test_what_was_put_is_read_back_under_its_digest(tmp_path_factory, contents) -> None:
    store = BlobStore(tmp_path_factory.mktemp("blobs"))
    names = [put(store, data) for data in contents]
    assert names == [digest.of_bytes(data) for data in contents]
    assert [store.read(name) for name in names] == contents
    assert list(store.names()) == sorted(set(names))
    assert store.verify() == len(set(names))


def test_nothing_is_kept_of_a_batch_that_is_not_committed(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    with store.batch() as batch:
        name = batch.add(b"never")
        assert len(list((tmp_path / "tmp").glob("*.part"))) == 1
    assert not store.has(name)
    assert list((tmp_path / "tmp").glob("*.part")) == []


def test_every_staged_file_is_synced_before_it_gets_its_name(tmp_path: Path, monkeypatch) -> None:
    store, synced = BlobStore(tmp_path), []
    original = blobs._sync_file

    def watch(path: Path) -> None:
        assert list(store.names()) == []
        original(path)
        synced.append(path)

    monkeypatch.setattr(blobs, "_sync_file", watch)
    with store.batch() as batch:
        batch.add(b"one")
        batch.add(b"two")
        assert batch.commit() == 2
    assert len(synced) == 2
    assert len(list(store.names())) == 2


def test_the_folder_of_a_blob_that_another_writer_just_renamed_is_synced_too(
    tmp_path: Path, monkeypatch
) -> None:
    store = BlobStore(tmp_path)
    name = put(store, b"theirs")
    synced: list[Path] = []
    monkeypatch.setattr(blobs.paths, "sync_folder", synced.append)
    with store.batch() as batch:
        batch.add(b"theirs")
        assert batch.commit() == 0
    assert store.path(name).parent in synced


def test_a_damaged_blob_is_refused_when_it_is_read_and_when_it_is_verified(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    name = put(store, b"right")
    store.path(name).write_bytes(b"wrong")
    for look in (lambda: store.read(name), store.verify):
        with pytest.raises(Refused) as caught:
            look()
        assert caught.value.code == "E_STORE_DAMAGED"


def test_no_more_of_a_blob_is_read_than_it_may_have(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    name = put(store, b"right")
    assert store.read(name, at_most=5) == b"right"
    with store.path(name).open("r+b") as stream:
        stream.truncate(1 << 40)  # a hole of 1 TiB
    with pytest.raises(Refused) as caught:
        store.read(name, at_most=1000)
    assert caught.value.code == "E_STORE_DAMAGED"


def test_a_blob_that_was_cut_short_is_written_again(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    name = put(store, b"whole")
    store.path(name).write_bytes(b"who")
    assert put(store, b"whole") == name
    assert store.read(name) == b"whole"


def test_a_missing_blob_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(Unreadable) as caught:
        BlobStore(tmp_path).read(digest.EMPTY)
    assert caught.value.code == "E_STORE_MISSING"


def test_leftovers_of_a_killed_writer_go_when_the_next_one_is_alone(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    put(store, b"something")
    leftover = tmp_path / "tmp" / "left.part"
    leftover.write_bytes(b"half")
    put(store, b"other")
    assert not leftover.exists()


def test_the_temporary_files_of_a_living_writer_stay(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    program = (
        "import sys; from pathlib import Path; from kolm.store.blobs import BlobStore\n"
        "with BlobStore(Path(sys.argv[1])).batch() as batch:\n"
        "    batch.add(b'living'); print('ready', flush=True); sys.stdin.read()\n"
        "    batch.commit()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    put(store, b"mine")
    child.communicate(timeout=30)
    assert child.returncode == 0
    assert store.read(digest.of_bytes(b"living")) == b"living"


def test_a_full_disk_is_lacking_and_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    store = BlobStore(tmp_path)
    monkeypatch.setattr(blobs.os, "fchmod", full)
    with pytest.raises(Lacking) as caught:
        put(store, b"data")
    assert caught.value.code == "E_DISK_FULL"
    assert list((tmp_path / "tmp").glob("*.part")) == []
