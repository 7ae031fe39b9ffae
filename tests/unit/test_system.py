"""What the operating system refuses: one code, one family and one exit code for each."""

import errno
import io
import os
import resource
from pathlib import Path

import pytest

from kolm import canonical, paths, system, worker
from kolm.cli import error_table
from kolm.cli.exit_codes import code_of
from kolm.errors import KolmError
from kolm.events import JsonLines, Silent, relay

WANTED = [
    (errno.ENOENT, "E_FILE_MISSING", 3),
    (errno.ENOTDIR, "E_NOT_A_FOLDER", 3),
    (errno.EACCES, "E_PERMISSION", 4),
    (errno.EPERM, "E_PERMISSION", 4),
    (errno.EROFS, "E_READ_ONLY", 4),
    (errno.ENOSPC, "E_DISK_FULL", 6),
    (errno.EDQUOT, "E_DISK_FULL", 6),
    (errno.EFBIG, "E_FILE_SIZE", 6),
    (errno.EMFILE, "E_OPEN_FILES", 6),
    (errno.ENFILE, "E_OPEN_FILES", 6),
    (errno.ENOMEM, "E_MEMORY", 6),
    (errno.EAGAIN, "E_PROCESSES", 6),
    (errno.EISDIR, "E_IS_A_FOLDER", 3),
    (errno.ELOOP, "E_LINK", 3),
    (errno.ENAMETOOLONG, "E_NAME_TOO_LONG", 2),
    (errno.EIO, "E_DEVICE", 3),
    (errno.EBUSY, "E_FILE_BUSY", 3),
    (errno.EEXIST, "E_TARGET_EXISTS", 2),
    (errno.EINVAL, "E_FILE", 3),
]


@pytest.mark.parametrize(("number", "code", "exit_code"), WANTED)
def test_each_error_has_its_name_exit_code_and_remedy(
    number: int, code: str, exit_code: int
) -> None:
    found = system.error_of(OSError(number, os.strerror(number), "/a/file"))
    assert (found.code, code_of(found), found.where) == (code, exit_code, "/a/file")
    assert found.hint
    assert os.strerror(number) in found.found
    assert code in error_table.rows()


def test_the_place_is_the_one_that_the_user_named() -> None:
    with pytest.raises(KolmError) as caught, system.naming(Path("mine.kolm")):
        Path("/nowhere/at/all").read_bytes()
    assert (caught.value.code, caught.value.where) == ("E_FILE_MISSING", "mine.kolm")


def test_a_reader_that_went_away_is_no_fault_of_a_file() -> None:
    with pytest.raises(BrokenPipeError), system.naming("x"):
        raise BrokenPipeError(errno.EPIPE, "broken")


def test_too_many_open_files_is_told_from_a_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(Path("/proc/self/fd").iterdir()))
    held = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 2, hard))
        with pytest.raises(KolmError) as caught, system.naming(tmp_path):
            while True:
                held.append((tmp_path / "file").open("rb"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for stream in held:
            stream.close()
    assert caught.value.code == "E_OPEN_FILES"


def test_no_room_for_temporary_files_has_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "none")])
    with pytest.raises(KolmError) as caught, paths.scratch_folder("kolm-"):
        pass
    assert (caught.value.code, code_of(caught.value)) == ("E_NO_SCRATCH", 6)


@pytest.mark.parametrize("task", worker.TASKS)
@pytest.mark.parametrize(("number", "code"), [(28, "E_DISK_FULL"), (30, "E_READ_ONLY")])
def test_a_child_reports_it_as_its_parent_would(task, number, code, monkeypatch, tmp_path) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number), "/run/checkpoint")

    out = io.StringIO()
    monkeypatch.setitem(worker.TASKS, task, fail)
    monkeypatch.setattr("sys.stdout", out)
    assert worker.main([task, str(tmp_path / "run")]) == worker.FAILED
    with pytest.raises(KolmError) as caught:
        relay(out.getvalue().splitlines()[-1], Silent())
    same = system.error_of(OSError(number, os.strerror(number), "/run/checkpoint"))
    assert caught.value.to_document() == same.to_document()
    assert caught.value.code == code
    assert type(caught.value) is type(same)


def test_events_are_one_json_line_each() -> None:
    out = io.StringIO()
    JsonLines(out).failed(system.error_of(OSError(28, "full")))
    assert canonical.loads(out.getvalue().encode(), where="")["family"] == "Lacking"
