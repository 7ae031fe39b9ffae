"""Files that a user names: devices are written into, links followed, files kept."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kolm import outputs
from kolm.errors import KolmError, Usage
from tests.support.mounts import read_only, tiny_disk


def test_a_new_file_is_written_with_its_folders(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "file"
    outputs.write(target, b"data")
    assert target.read_bytes() == b"data"
    assert [path.name for path in target.parent.iterdir()] == ["file"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_a_new_file_has_the_mode_that_the_user_wants_files_to_have(
    tmp_path: Path, mask: int, mode: int
) -> None:
    before = os.umask(mask)
    try:
        outputs.write(tmp_path / "file", b"data")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


def test_another_file_stays_until_it_may_go(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"mine")
    target.chmod(0o600)
    with pytest.raises(Usage) as caught:
        outputs.write(target, b"data")
    assert caught.value.code == "E_TARGET_EXISTS"
    assert all(option in caught.value.hint for option in ("-o", "--force"))
    assert target.read_bytes() == b"mine"
    outputs.write(target, b"data", force=True)
    assert target.read_bytes() == b"data"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_with_the_same_bytes_stays_as_it_is(tmp_path: Path) -> None:
    target = tmp_path / "file"
    outputs.write(target, b"data")
    before = target.stat()
    outputs.write(target, b"data")
    assert target.stat().st_ino == before.st_ino


def test_a_link_stays_and_what_it_points_to_is_written(tmp_path: Path) -> None:
    real, link = tmp_path / "folder" / "real", tmp_path / "link"
    real.parent.mkdir()
    link.symlink_to(real)
    outputs.write(link, b"first")  # it leads to nothing yet
    assert link.is_symlink()
    assert real.read_bytes() == b"first"
    with pytest.raises(Usage):
        outputs.write(link, b"second")
    outputs.write(link, b"second", force=True)
    assert link.is_symlink()
    assert real.read_bytes() == b"second"


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    outputs.write(pipe, b"data")
    reader.join(10)
    assert got == [b"data"]
    assert pipe.is_fifo()


@pytest.mark.parametrize("through_a_link", [False, True])
def test_a_device_is_written_into(tmp_path: Path, through_a_link: bool) -> None:
    target = Path(os.devnull)
    if through_a_link:
        target = tmp_path / "null"
        target.symlink_to(os.devnull)
    outputs.write(target, b"data")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


WRITE = "from kolm import outputs; from pathlib import Path; outputs.write(Path({!r}), b'data\\n')"


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_stdout_is_written_into_wherever_it_leads(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / "link").symlink_to("/dev/stdout")
    out = tmp_path / "out"
    command = [sys.executable, "-c", WRITE.format(name)]
    if kind == "pipe":
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        found = ran.stdout
    else:
        out.write_bytes(b"before\n")
        with out.open("ab") as stream:
            ran = subprocess.run(
                command, cwd=tmp_path, stdout=stream, stderr=subprocess.PIPE, check=False
            )
        found = out.read_bytes().removeprefix(b"before\n")
    assert (ran.returncode, found) == (0, b"data\n"), ran.stderr
    assert (tmp_path / "link").is_symlink()
    assert Path("/dev/stdout").is_symlink()


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "file"
    with pytest.raises(Usage), outputs.writing(target) as stream:
        stream.write(b"data")
        target.write_bytes(b"somebody was faster")
    assert target.read_bytes() == b"somebody was faster"


def test_nothing_is_left_of_what_failed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), outputs.writing(tmp_path / "file") as stream:
        stream.write(b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_hard_links_is_written_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    outputs.write(tmp_path / "file", b"data")
    assert (tmp_path / "file").read_bytes() == b"data"
    with pytest.raises(Usage):
        outputs.write(tmp_path / "file", b"other")
    assert (tmp_path / "file").read_bytes() == b"data"


@pytest.mark.parametrize("kind", ["folder", "loop", "below a file"])
def test_what_cannot_be_a_file_has_a_name(tmp_path: Path, kind: str) -> None:
    target, code = tmp_path / "target", "E_IS_A_FOLDER"
    if kind == "folder":
        target.mkdir()
    elif kind == "loop":
        target.symlink_to(target)
        code = "E_LINK"
    else:
        target.write_bytes(b"")
        target, code = target / "file", "E_NOT_A_FOLDER"
    for write in (outputs.write, lambda path, _: outputs.demand_free(path)):
        if kind == "below a file" and write is not outputs.write:
            continue
        with pytest.raises(KolmError) as caught:
            write(target, b"data")
        assert (caught.value.code, caught.value.where) == (code, str(target))


def test_a_full_and_a_read_only_file_system_are_named_with_the_target(tmp_path: Path) -> None:
    with tiny_disk(tmp_path / "disk", kibibytes=16) as disk:
        with pytest.raises(KolmError) as caught:
            outputs.write(disk / "file", bytes(64 * 1024))
        assert (caught.value.code, caught.value.where) == ("E_DISK_FULL", str(disk / "file"))
        assert list(disk.iterdir()) == []
        with read_only(disk), pytest.raises(KolmError) as caught:
            outputs.write(disk / "file", b"")
        assert (caught.value.code, caught.value.where) == ("E_READ_ONLY", str(disk / "file"))


def test_a_folder_that_takes_no_file_is_told_before_the_work(tmp_path: Path) -> None:
    """Also to the superuser, who may write everywhere by the bits of modes."""
    outputs.demand_free(tmp_path / "new/folder/one")
    assert not list(tmp_path.iterdir())
    with pytest.raises(KolmError) as told:
        outputs.demand_free(Path("/proc/one.kolm"))
    assert told.value.code in ("E_READ_ONLY", "E_PERMISSION")
    assert told.value.where == "/proc"
