"""A private copy of a file: taken once, whole or not at all, and nobody else's afterwards."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kolm import digest, file_digests
from kolm.bundle import held, streams
from kolm.bundle.held import hold
from kolm.bundle.streams import hold_stream
from kolm.errors import KolmError, Lacking, Refused, Unreadable

DATA = b"oci-layout\0" + bytes(range(256)) * 20_000
LARGE = 3 * 1024 * 1024


@pytest.fixture(params=["in memory", "in a file"])
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "in a file":
        monkeypatch.setattr(held, "_IN_MEMORY_BYTES", 0)


@pytest.mark.usefixtures("_both_ways")
@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"other"),
        lambda path: os.truncate(path, 0),
        lambda path: path.unlink(),
        lambda path: path.with_suffix(".new").replace(path),
    ],
    ids=["rewritten", "cut", "removed", "replaced"],
)
def test_a_copy_stays_whatever_becomes_of_the_file(tmp_path: Path, change: Any) -> None:
    path = tmp_path / "x"
    path.write_bytes(DATA)
    path.with_suffix(".new").write_bytes(b"new")
    copy = hold(path)
    change(path)
    assert bytes(copy.view) == DATA
    assert copy.digest == digest.of_bytes(DATA)


@pytest.mark.usefixtures("_both_ways")
def test_a_file_that_changes_while_it_is_read_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    read = os.read
    for end in (LARGE // 2, LARGE * 2):
        path.write_bytes(bytes(LARGE))

        def changing(handle: int, size: int, end: int = end) -> bytes:
            os.truncate(path, end)
            return read(handle, size)

        monkeypatch.setattr(os, "read", changing)
        with pytest.raises(Unreadable) as unreadable:
            hold(path)
        monkeypatch.setattr(os, "read", read)
        assert unreadable.value.code == "E_CANNOT_READ"


class Stream:
    """A stream that hands out few bytes at a time, and counts them."""

    def __init__(self, data: bytes, *, at_most: int = 2**20, endless: bool = False) -> None:
        self.given = 0
        self._data, self._at_most, self._endless = data, at_most, endless

    def read(self, size: int, /) -> bytes:
        size = min(size, self._at_most)
        piece = bytes(size) if self._endless else self._data[self.given : self.given + size]
        self.given += len(piece)
        return piece


@pytest.mark.usefixtures("_both_ways")
@pytest.mark.parametrize("at_most", [1000, 2**20])
def test_a_stream_is_held_as_a_file_is(tmp_path: Path, at_most: int) -> None:
    (tmp_path / "x").write_bytes(DATA)
    from_file = hold(tmp_path / "x")
    copy = hold_stream(Stream(DATA, at_most=at_most), size=len(DATA), where="demo@1.0.0")
    assert (copy.view, copy.digest) == (from_file.view, from_file.digest)
    assert str(copy.path) == "demo@1.0.0"


@pytest.mark.usefixtures("_both_ways")
@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda: Stream(DATA[:-1]), f"{len(DATA) - 1} bytes"),
        (lambda: Stream(DATA + b"x"), "more"),
        (lambda: Stream(b"", endless=True), "more"),
    ],
    ids=["short", "longer", "endless"],
)
def test_a_stream_of_another_size_is_refused_when_a_piece_is_too_much(
    make: Callable[[], Stream], found: str
) -> None:
    stream = make()
    with pytest.raises(Refused) as refused:
        hold_stream(stream, size=len(DATA), where="demo@1.0.0")
    error = refused.value
    assert (error.code, error.where, error.found) == ("E_BLOB_DIGEST", "demo@1.0.0", found)
    assert stream.given <= len(DATA) + held.PIECE_BYTES


def test_a_stream_is_not_begun_if_it_is_larger_than_any_bundle() -> None:
    stream = Stream(b"", endless=True)
    with pytest.raises(Refused) as refused:
        hold_stream(stream, size=300 * 2**30, where="demo@1.0.0")
    assert (refused.value.code, stream.given) == ("E_CONTAINER_LIMIT", 0)


def test_a_stream_that_breaks_off_could_not_be_read() -> None:
    class Broken:
        def read(self, _: int, /) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(KolmError) as broken:
        hold_stream(Broken(), size=10, where="demo@1.0.0")
    assert not isinstance(broken.value, Refused)
    assert broken.value.where == "demo@1.0.0"


def test_holes_stay_holes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "_IN_MEMORY_BYTES", 0)
    with (tmp_path / "x").open("wb") as stream:
        stream.write(b"start")
        stream.truncate(200 * 1024 * 1024)
    copy = hold(tmp_path / "x")
    assert len(copy.view) == 200 * 1024 * 1024
    with (tmp_path / "y").open("wb") as stream:
        streams.write_out(stream, copy.view)
    facts = (tmp_path / "y").stat()
    assert facts.st_size == len(copy.view)
    assert facts.st_blocks * 512 < 4 * 1024 * 1024
    assert file_digests.of_file(tmp_path / "y") == copy.digest


def test_another_start_or_too_large_a_file_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").write_bytes(DATA)

    def never(*_: Any) -> Any:
        raise AssertionError("read")

    monkeypatch.setattr(os, "read", never)
    with pytest.raises(Unreadable) as unreadable:
        hold(tmp_path / "x", start=b"something")
    assert unreadable.value.code == "E_NOT_A_BUNDLE"
    with (tmp_path / "x").open("r+b") as stream:
        stream.truncate(300 * 2**30)
    with pytest.raises(Refused) as too_large:
        hold(tmp_path / "x", start=b"oci-layout\0")
    assert too_large.value.code == "E_CONTAINER_LIMIT"


@pytest.mark.parametrize("first_written", [True, False])
def test_a_large_file_of_holes_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first_written: bool
) -> None:
    with (tmp_path / "x").open("wb") as stream:
        stream.write(b"oci-layout\0" + bytes(2**20 if first_written else 0))
        stream.seek(60 * 2**30)
        stream.write(b"the end")

    def never(*_: Any) -> Any:
        raise AssertionError("read")

    monkeypatch.setattr(os, "read", never)
    with pytest.raises(Refused) as refused:
        hold(tmp_path / "x", start=b"oci-layout\0")
    assert refused.value.code == "E_CONTAINER_HOLES"


def test_a_large_file_with_some_holes_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "_IN_MEMORY_BYTES", 0)
    written = b"oci-layout\0" + b"x" * 2**20
    with (tmp_path / "x").open("wb") as stream:
        stream.write(written)
        stream.seek(2**20, os.SEEK_CUR)
        stream.write(written)
    assert hold(tmp_path / "x", start=b"oci-layout\0").digest == file_digests.of_file(
        tmp_path / "x"
    )


def test_no_room_for_the_copy_says_where_to_make_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").write_bytes(DATA)
    monkeypatch.setattr(held, "_IN_MEMORY_BYTES", 0)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(held, "write_piece", full)
    with pytest.raises(Lacking) as lacking:
        hold(tmp_path / "x")
    assert lacking.value.code == "E_DISK_FULL"
    assert "TMPDIR" in lacking.value.where
