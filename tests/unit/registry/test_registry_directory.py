import os
import time

import pytest

from kolm import digest
from kolm.bundle.held import hold
from kolm.errors import Denied, Lacking, Refused, Unreadable, Usage
from kolm.registry.backends.directory import Directory
from kolm.registry.history import read_history
from kolm.sign.trust import TrustStore


@pytest.fixture
def registry(tmp_path):
    return Directory.create(tmp_path / "registry")


def _held(tmp_path, data):
    source = tmp_path / "source"
    source.write_bytes(data)
    return hold(source)


def _blob(registry, content):
    with registry.blob(content) as stream:
        return stream.read(1000)


def _stored(registry, name):
    stored = registry.entries(name)
    assert (stored.taken, stored.problems) == (frozenset(), ())
    return stored.entries


def test_a_new_registry_opens_and_is_empty(tmp_path):
    Directory.create(tmp_path / "deep" / "registry")
    registry = Directory.open(tmp_path / "deep" / "registry")
    assert registry.names() == []
    assert _stored(registry, "demo") == {}
    assert list(registry.blobs()) == []


def test_a_registry_is_not_made_over_something(tmp_path, registry):
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "registry", tmp_path / "file", tmp_path):
        with pytest.raises(Usage) as caught:
            Directory.create(folder)
        assert caught.value.code == "E_REGISTRY_EXISTS"


def test_a_folder_without_the_mark_is_not_a_registry(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(Unreadable) as caught:
            Directory.open(folder)
        assert caught.value.code == "E_REGISTRY_MISSING"
        assert "registry init" in caught.value.hint


@pytest.mark.parametrize(
    "mark",
    ["", "{}", '{"schema":"urn:kolm:registry:v2"}', '{"schema":"urn:kolm:registry:v1","x":1}'],
)
def test_a_registry_of_another_layout_could_not_be_looked_at(registry, tmp_path, mark):
    (tmp_path / "registry" / "registry.json").write_text(mark)
    with pytest.raises(Unreadable) as caught:
        Directory.open(tmp_path / "registry")
    assert caught.value.code == "E_REGISTRY_VERSION"


def test_entries_come_back_in_order(registry):
    for name in ("demo", "demo/sub", "other"):
        for number in range(1, 13):
            assert registry.append(name, number, f"{name} {number}".encode())
    assert registry.names() == ["demo", "demo/sub", "other"]
    assert _stored(registry, "demo/sub") == {n: f"demo/sub {n}".encode() for n in range(1, 13)}


def test_an_entry_is_written_once(registry):
    assert registry.append("demo", 1, b"first")
    assert not registry.append("demo", 1, b"second")
    assert _stored(registry, "demo") == {1: b"first"}


def test_what_is_not_an_entry_is_not_read_and_is_found(registry, tmp_path):
    registry.append("demo", 1, b"a")
    folder = tmp_path / "registry" / "entries" / "demo"
    strays = [".entry-x", "1.json", "0000002.json", "000002.json.part"]
    for name in strays:
        (folder / name).write_text("x")
    (folder / "sub" / "deeper").mkdir(parents=True)
    (tmp_path / "registry" / "entries" / "Strange").mkdir()
    (tmp_path / "registry" / "blobs" / "sha256" / "notes.txt").write_text("x")
    (tmp_path / "registry" / "blobs" / "md5").mkdir()
    assert _stored(registry, "demo") == {1: b"a"}
    assert registry.names() == ["demo"]
    found = list(registry.strays())
    assert {error.code for error in found} == {"E_REGISTRY_STRAY"}
    names = {error.where.rpartition("/")[2] for error in found}
    assert names == {*strays, "deeper", "Strange", "notes.txt", "md5"}


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_an_entry_that_is_no_regular_file_is_a_finding_and_hides_no_other(registry, tmp_path, kind):
    registry.append("demo", 1, b"a")
    path = tmp_path / "registry" / "entries" / "demo" / "000002.json"
    if kind == "link":
        path.symlink_to("000001.json")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    stored = registry.entries("demo")
    assert stored.entries == {1: b"a"}
    assert stored.taken == {2}
    assert [error.code for error in stored.problems] in (["E_FILE_KIND"], ["E_REGISTRY_LINK"])
    assert not registry.append("demo", 2, b"b")


def test_an_entry_beyond_the_limit_is_a_finding(registry, tmp_path):
    registry.append("demo", 1, b"a" * (1024 * 1024 + 1))
    assert [e.code for e in registry.entries("demo").problems] == ["E_FILE_TOO_LARGE"]


@pytest.mark.parametrize("place", ["entries", "entries/demo", "blobs", "blobs/sha256", "tmp"])
def test_a_link_in_the_folder_is_not_followed(registry, tmp_path, place):
    registry.append("demo", 1, b"a")
    path, elsewhere = tmp_path / "registry" / place, tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*"))
    held = _held(tmp_path, b"data")
    actions = {
        "entries": lambda: registry.entries("demo"),
        "append": lambda: registry.append("demo", 2, b"b"),
        "keep": lambda: registry.keep(held),
        "blob": lambda: _blob(registry, held.digest),
    }
    met = ("entries", "append") if place.startswith("entries") else ("keep", "blob")
    if place == "tmp":
        met = ("append", "keep")
    for action in met:
        with pytest.raises(Refused) as caught:
            actions[action]()
        assert caught.value.code == "E_REGISTRY_LINK"
    assert sorted(elsewhere.rglob("*")) == before
    assert [error.code for error in registry.strays()] == ["E_REGISTRY_LINK"]


def test_a_blob_that_is_a_link_is_not_read(registry, tmp_path):
    held = _held(tmp_path, b"data")
    registry.keep(held)
    path = registry.path_of(held.digest)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused) as caught:
        _blob(registry, held.digest)
    assert caught.value.code == "E_REGISTRY_LINK"
    assert [error.code for error in registry.strays()] == ["E_REGISTRY_LINK"]
    registry.keep(held)  # publishing again repairs it
    assert _blob(registry, held.digest) == b"data"
    assert (tmp_path / "elsewhere").read_bytes() == b"data"


def test_a_kept_file_is_found_by_its_digest(registry, tmp_path):
    held = _held(tmp_path, b"data")
    with pytest.raises(Unreadable) as caught:
        _blob(registry, held.digest)
    assert caught.value.code == "E_BLOB_MISSING"
    registry.keep(held)
    assert _blob(registry, held.digest) == b"data"
    assert list(registry.blobs()) == [held.digest] == [digest.of_bytes(b"data")]
    assert list((tmp_path / "registry" / "tmp").iterdir()) == []


def test_keeping_again_repairs_a_damaged_file(registry, tmp_path):
    for _ in range(2):
        held = _held(tmp_path, b"data")
        registry.keep(held)
        assert _blob(registry, held.digest) == b"data"
        registry.path_of(held.digest).write_bytes(b"rot")


def test_what_is_kept_is_what_was_held_whatever_the_file_holds_by_then(registry, tmp_path):
    held = _held(tmp_path, b"data")
    (tmp_path / "source").write_bytes(b"rewritten")
    registry.keep(held)
    assert _blob(registry, held.digest) == b"data"


@pytest.mark.parametrize(
    ("number", "family", "code"),
    [
        (1, Lacking, "E_REGISTRY_LINKS"),  # EPERM is what FAT says to a hard link
        (95, Lacking, "E_REGISTRY_LINKS"),
        (28, Lacking, "E_DISK_FULL"),
        (13, Denied, "E_PERMISSION"),
        (30, Denied, "E_READ_ONLY"),
        (24, Lacking, "E_OPEN_FILES"),
    ],
)
def test_what_the_file_system_says_becomes_a_typed_error(
    registry, monkeypatch, number, family, code
):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(family) as caught:
        registry.append("demo", 1, b"a")
    assert caught.value.code == code


def test_a_gap_among_many_entries_is_found_soon(registry, tmp_path):
    folder = tmp_path / "registry" / "entries" / "demo"
    folder.mkdir()
    for number in (*range(1, 20_000), 20_001):
        (folder / f"{number:06d}.json").touch()
    began = time.process_time()
    stored = registry.entries("demo")
    history = read_history(
        stored._replace(entries={}, taken=frozenset(stored.entries)),
        name="demo",
        trust=TrustStore(),
    )
    (gap,) = history.problems
    assert (gap.code, gap.expected) == ("E_ENTRY_GAP", "020000.json")
    assert time.process_time() - began < 2  # it took three: every number was sought among all
